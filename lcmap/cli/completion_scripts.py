"""The completion scripts of bash and zsh, which typer's stand back behind; fish's is typer's.

Typer's for zsh only defines a function when zsh loads it at the first TAB, and completes nothing
then; neither completes a name with a colon.
"""

from __future__ import annotations

from typer import _completion_shared

ZSH = r"""
#compdef %(prog_name)s

%(complete_func)s() {
  local item value
  local -a found
  for item in "${(@f)$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" \
      _TYPER_COMPLETE_FISH_ACTION=get-args %(autocomplete_var)s=complete_fish %(prog_name)s)}"; do
    value=${item%%%%$'\t'*}
    [[ -z $value ]] && continue
    if [[ $item == *$'\t'* ]]; then
      found+=("${value//:/\\:}:${item#*$'\t'}")
    else
      found+=("${value//:/\\:}")
    fi
  done
  [[ $PREFIX == --*=* ]] && compset -P '*='
  if (( $#found )); then
    _describe 'lcmap' found
  else
    _files
  fi
}

# zsh runs this file as the function when it completes for the first time
if [[ $funcstack[1] == _%(prog_name)s ]]; then
  %(complete_func)s "$@"
else
  compdef %(complete_func)s %(prog_name)s
fi
"""

BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' word glue="" last count reply typed=${COMP_WORDS[COMP_CWORD]}
    local -a words=()
    # bash takes flair19:flair7 for three words, and --rules=NAME
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        count=${#words[@]}
        if [[ $count -gt 0 && ( $word =~ ^[:=]+$ || -n $glue ) ]]; then
            words[count-1]+=$word
        else
            words+=("$word")
        fi
        glue=""
        [[ $word =~ ^[:=]+$ ]] && glue=1
    done
    count=$(( ${#words[@]} - 1 ))
    last=${words[count]#--*=}
    COMPREPLY=()
    while read -r reply; do
        # what is before the last colon stands on the line already, but in quotes
        word=$last
        while [[ $COMP_WORDBREAKS == *:* && $word == *:* && $typed != [\"\']* ]]; do
            word=${word#*:}
            reply=${reply#*:}
        done
        # in quotes bash takes a name as it is
        if [[ $typed != [\"\']* && $reply == *[^[:alnum:]:=,./_@%%+-]* ]]; then
            printf -v reply %%q "$reply"
        fi
        [[ -n $reply ]] && COMPREPLY+=("$reply")
    done < <( env COMP_WORDS="${words[*]}" COMP_CWORD=$count \
              %(autocomplete_var)s=complete_bash $1 )
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""


def use_own_scripts() -> None:
    """Have --show-completion and --install-completion take these scripts."""
    _completion_shared._completion_scripts.update(bash=BASH, zsh=ZSH)

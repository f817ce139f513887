_lcmap_completion() {
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
        if [[ $typed != [\"\']* && $reply == *[^[:alnum:]:=,./_@%+-]* ]]; then
            printf -v reply %q "$reply"
        fi
        [[ -n $reply ]] && COMPREPLY+=("$reply")
    done < <( env COMP_WORDS="${words[*]}" COMP_CWORD=$count \
              _LCMAP_COMPLETE=complete_bash $1 )
    return 0
}

complete -o default -F _lcmap_completion lcmap

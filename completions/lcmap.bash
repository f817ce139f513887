_lcmap_completion() {
    local IFS=$'\n' word glue="" last count
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
    COMPREPLY=( $( env COMP_WORDS="${words[*]}" COMP_CWORD=$count \
                   _LCMAP_COMPLETE=complete_bash $1 ) )
    # what is before the last colon stands on the line already
    if [[ $last == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=( "${COMPREPLY[@]#"${last%:*}:"}" )
    fi
    return 0
}

complete -o default -F _lcmap_completion lcmap

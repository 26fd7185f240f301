# Completion of Trellis' command line for zsh; made by: python main.py completion zsh

# $1: how many words name the program.
_trellis_complete() {
    local kind value help
    local -a plain open
    local line="${words[1,CURRENT-1]} $PREFIX"
    [[ $PREFIX == --*=* ]] && compset -P '*='
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            file) _files ;;
            dir) _files -/ ;;
            open) open+=("$value") ;;
            *) plain+=("${value//:/\\:}${help:+:$help}") ;;
        esac
    done < <(
        _TRELLIS_COMPLETE=zsh _TRELLIS_LINE="$line" _TRELLIS_SKIP="$1" @PYTHON@ @MAIN@ 2>/dev/null
    )
    (( ${#open} )) && compadd -S '' -a open
    (( ${#plain} )) && _describe -V 'trellis' plain
}

_trellis() {
    _trellis_complete 1
}

# `python main.py`, `.venv/bin/python ../main.py`: only if it is this main.py.
_trellis_python() {
    local i
    for (( i = 2; i < CURRENT; i++ )); do
        if [[ ${words[i]} != -* ]]; then
            if [[ ${~words[i]} -ef @MAIN@ ]]; then
                _trellis_complete $i
                return
            fi
            break
        fi
    done
    if [[ -n $_trellis_other ]]; then
        $_trellis_other "$@"
    else
        _default
    fi
}

# What completes for python otherwise goes on doing so.
if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit
fi
if [[ ${_comps[python]-} != _trellis_python ]]; then
    typeset -g _trellis_other=${_comps[python]-}
fi

compdef _trellis_python @NAMES@
compdef _trellis trellis

# Completion of Trellis' command line for bash; made by: python main.py completion bash

# $1: how many words name the program; $2: what it is an alias of.
_trellis_complete() {
    local kind value _
    COMPREPLY=()
    while IFS=$'\t' read -r kind value _; do
        case $kind in
            file) compopt -o filenames -o default 2>/dev/null ;;
            dir) compopt -o filenames -o dirnames 2>/dev/null ;;
            open)
                compopt -o nospace 2>/dev/null
                COMPREPLY+=("$value")
                ;;
            *) COMPREPLY+=("$(printf '%q' "$value")") ;;
        esac
    done < <(
        _TRELLIS_COMPLETE=bash _TRELLIS_LINE="${COMP_LINE:0:COMP_POINT}" _TRELLIS_SKIP="$1" \
            _TRELLIS_ALIAS="$2" @PYTHON@ @MAIN@ 2>/dev/null
    )
}

_trellis() {
    _trellis_complete 1 "${BASH_ALIASES[$1]-}"
}

# `python main.py`, `.venv/bin/python ../main.py`: only if it is this main.py.
_trellis_python() {
    local word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word != -* ]]; then
            if [[ ${word/#\~/$HOME} -ef @MAIN@ ]]; then
                _trellis_complete $((i + 1)) ''
                return
            fi
            break
        fi
    done
    if [[ -n $_trellis_other ]] && declare -F "$_trellis_other" >/dev/null; then
        "$_trellis_other" "$@"
        return
    fi
    COMPREPLY=()
    compopt -o default 2>/dev/null
}

# What completes for python otherwise goes on doing so.
if declare -F _completion_loader >/dev/null; then
    _completion_loader python >/dev/null 2>&1
fi
_trellis_other=$(complete -p python 2>/dev/null)
_trellis_other=${_trellis_other##*-F }
_trellis_other=${_trellis_other%% *}
if [[ $_trellis_other == _trellis_python ]]; then
    _trellis_other=''
fi

complete -F _trellis_python @NAMES@
complete -F _trellis trellis

# Completion of Trellis' command line for fish; made by: python main.py completion fish

# $argv[1]: how many words name the program.
function __trellis_complete
    set -lx _TRELLIS_COMPLETE fish
    set -lx _TRELLIS_LINE (commandline -cp)
    set -lx _TRELLIS_SKIP $argv[1]
    for item in (@PYTHON@ @MAIN@ 2>/dev/null)
        set -l part (string split \t -- $item)
        switch $part[1]
            case file
                __fish_complete_path (commandline -ct)
            case dir
                __fish_complete_directories (commandline -ct) ''
            case '*'
                printf '%s\t%s\n' $part[2] $part[3]
        end
    end
end

# `python main.py`, `.venv/bin/python ../main.py`: how many words that is, if it is this main.py.
function __trellis_words
    set -l words (commandline -cpo)
    for i in (seq 2 (count $words))
        if not string match -q -- '-*' $words[$i]
            if test (realpath -- $words[$i] 2>/dev/null) = @REAL_MAIN@
                echo $i
                return 0
            end
            return 1
        end
    end
    return 1
end

for name in @NAMES@
    complete -c $name -n '__trellis_words >/dev/null' -f -a '(__trellis_complete (__trellis_words))'
end
complete -c trellis -f -a '(__trellis_complete 1)'

# SPDX-License-Identifier: Apache-2.0
# fish completion of motley, motley-coordinator and motley-worker. It asks the programs' own --help, so that it
# knows what they know.

function __motley_words
    set -l words (commandline -opc)
    for word in $words[2..-1]
        string match -q -- '-*' $word; and break
        echo $word
    end
end

function __motley_options
    set -l words (commandline -opc)
    set -l named (__motley_words)
    $words[1] $named[1..2] --help 2>/dev/null | string match -rg -- '^ +(?:-[a-z], )?(--[a-z-]+)'
end

function __motley_commands
    set -l words (commandline -opc)
    set -l named (__motley_words)
    set -l all ($words[1] help 2>/dev/null | string match -rg -- '^  ([a-z]+(?: [a-z]+)?)  +[a-z]')
    switch (count $words)
        case 1
            string split -f1 ' ' -- $all | sort -u
        case 2
            string match -rg -- "^$named[1] (.+)" $all
    end
end

complete -c motley -n 'test (count (commandline -opc)) -lt 3' -f -a '(__motley_commands)'
complete -c motley -n 'test (commandline -opc)[-1] = completion' -f -a 'bash zsh fish'
complete -c motley-worker -n 'test (count (commandline -opc)) -lt 2' -f -a join
for program in motley motley-coordinator motley-worker
    complete -c $program -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__motley_options)'
    complete -c $program -n 'test (commandline -opc)[-1] = --role' -f -a 'worker client read-only admin'
    complete -c $program -n 'test (commandline -opc)[-1] = --objective' -f -a 'fastest cheapest greenest'
    complete -c $program -n 'test (commandline -opc)[-1] = --log-level' -f -a 'error warn info debug'
end

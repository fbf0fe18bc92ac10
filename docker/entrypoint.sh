#!/bin/sh
# What `docker run cl-repro ...` does; without arguments it prints the help below.
#
# Everything is written under /results, so the rest of the file system may be read-only and the user any number.
set -eu

home=${CL_REPRO_HOME:-/opt/cl-repro}         # the source: core/, papers/
envs=${CL_REPRO_ENVS:-/opt/venv}             # one environment per paper
results=${CL_REPRO_RESULTS:-/results}        # the volume
child=''
stopping=''

main() {
    case ${1-} in
    '' | -h | --help | help) help ;;
    all) shift && all_papers "$@" ;;
    list | report | data | check | doctor) any_paper "$@" ;;
    *)
        known "$1" || fail 2 "no paper '$1' in this image; it has $(papers | paste -sd ' ' -)"
        one_paper "$@"
        ;;
    esac
}

help() {
    cat <<END
Continual-learning papers, reproduced.  Papers in this image: $(papers | paste -sd ' ' -)

  PAPER                       the quick tables, from data in the image; results in /results
  PAPER --profile full ...    what follows goes to 'cl-repro reproduce PAPER' (--help lists it)
  PAPER main.py ...           an original command line (*.py, *.sh, -m MODULE) in the paper's folder
  PAPER PROGRAM ...           a program of the paper's environment: python, cl-repro, mlflow, ...
  all ...                     like PAPER, for every paper in this image, one after the other
  list, report, data, check, doctor
                              the other commands of cl-repro

Keep the results:   docker run -v "\$PWD/results:/results" --user "\$(id -u):\$(id -g)" cl-repro PAPER
Use a GPU:          docker run --gpus all ...
Your own data sets: docker run -v /where/they/are:/data:ro ...
A run that was stopped goes on when the same command is given with the same folder.
END
}

# The papers in this image, one a line: those with both an environment and a source.
papers() {
    for folder in "$envs"/*/; do
        folder=${folder%/}
        [ ! -d "$home/papers/${folder##*/}" ] || printf '%s\n' "${folder##*/}"
    done
}

known() {
    papers | grep -Fqx -- "$1"
}

# PAPER [flags of reproduce | program and its arguments]
one_paper() {
    paper=$1
    shift
    enter "$paper"
    case ${1-} in
    -m | *.py) folder_of "$paper" && run python "$@" ;;
    *.sh) folder_of "$paper" && run bash "$@" ;;
    '' | -*) run python -m clrepro.cli reproduce "$paper" --out "$results" "$@" ;;
    *)
        command -v -- "$1" >/dev/null || fail 2 "no program '$1' in the environment of $paper; no argument prints help"
        folder_of "$paper" && run "$@"
        ;;
    esac
}

# Every paper in its own environment; the exit code is the last one that was not 0.
all_papers() {
    worst=0
    for paper in $(papers); do
        supervise "$0" "$paper" "$@"
        [ "$code" -eq 0 ] || worst=$code
        case $code in 2 | 130 | 143) break ;; esac # wrong flags, or stopped: the rest would fare alike
    done
    exit "$worst"
}

# COMMAND of cl-repro that belongs to no paper: every environment can do it.
any_paper() {
    enter "$(papers | head -n 1)"
    case $1 in
    report | check | doctor)
        command=$1
        shift
        run python -m clrepro.cli "$command" --out "$results" "$@"
        ;;
    *) run python -m clrepro.cli "$@" ;;
    esac
}

# Put the paper's environment first on PATH, and everything that programs write beside results under /results.
enter() {
    PATH=$envs/$1/bin:$PATH
    HOME=$results/.home-$(id -u)
    mkdir -p -- "$HOME" 2>/dev/null && [ -w "$HOME" ] ||
        fail 1 "$results is not writable for user $(id -u); give the folder's owner: --user \"\$(id -u):\$(id -g)\""
    [ -w "${TMPDIR:-/tmp}" ] || TMPDIR=$HOME/tmp
    [ -z "${TMPDIR-}" ] || mkdir -p -- "$TMPDIR"
    XDG_CACHE_HOME=$HOME/.cache
    export PATH HOME XDG_CACHE_HOME ${TMPDIR:+TMPDIR}
    NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-$HOME/.cache/numba} MPLCONFIGDIR=${MPLCONFIGDIR:-$HOME/.cache/matplotlib}
    export NUMBA_CACHE_DIR MPLCONFIGDIR
}

# Enter the paper's folder as a writable one: real folders under /results, every file a link into the image.
folder_of() {
    mkdir -p -- "$results/$1/folder"
    cp -rsf -- "$home/papers/$1/." "$results/$1/folder/"
    cd -- "$results/$1/folder"
}

run() {
    supervise "$@"
    exit "$code"
}

# Run a program, leave its exit code in $code and pass SIGTERM on: the kernel gives process 1 of a container no
# signal that it does not ask for.
supervise() {
    trap 'stopping=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :' TERM INT HUP
    exec 3<&0 # what runs in the background would read nothing otherwise
    "$@" <&3 3<&- &
    child=$!
    [ -z "$stopping" ] || kill -TERM "$child" 2>/dev/null || :
    while :; do
        wait "$child" && code=0 || code=$?
        kill -0 "$child" 2>/dev/null || break # else the wait was ended by a signal of ours
    done
    child=''
}

fail() {
    code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

main "$@"

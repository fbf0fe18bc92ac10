# Read by the replicate scripts, with the words of their command line: --dry-run is theirs, the rest goes to every program.
dry_run=no
extra=()
for word in "$@"; do
  if [[ $word == --dry-run ]]; then dry_run=yes; else extra+=("$word"); fi
done

each_run() { # one command line, shown only if dry; what is done already is not done again
  local command=("${PYTHON:-python}" "$@" --resume ${extra[@]+"${extra[@]}"})
  if [[ $dry_run == yes ]]; then
    echo "${command[*]}"
  else
    "${command[@]}"
  fi
}

summary() { # one table of all runs below a folder
  if [[ $dry_run == no ]]; then "${PYTHON:-python}" extract_res.py "$1"; fi
}

# Completion of bunnydb(1) for bash. Made from contrib/bunnydb.bash.in and the program's table of
# commands by "make manual". To be sourced, or put as "bunnydb" among bash's completions.

# One line a command: words|arguments|options; an option with "=" needs a value.
_bunnydb_rows='
||--config=FILE --headless --http=ADDR:PORT --state-dir=DIR --version --help 
user add|NAME|--config=FILE --state-dir=DIR --role=admin,viewer --password-stdin --version --help 
attach||--config=FILE --state-dir=DIR --read-only --version --help 
top||--config=FILE --state-dir=DIR --read-only --once --json --timeout=SECONDS --version --help 
status|[MIRROR]|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
peer add|NAME|--config=FILE --state-dir=DIR --option=KEY=VALUE --password --password-stdin --file=FILE --json --timeout=SECONDS --version --help --host=TEXT --port=N --user=TEXT --database=TEXT --ssl-mode=TEXT 
peer list||--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
peer show|PEER|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
peer test|PEER|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
peer tables|PEER|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
peer change|PEER|--config=FILE --state-dir=DIR --option=KEY=VALUE --password --password-stdin --file=FILE --json --timeout=SECONDS --version --help --host=TEXT --port=N --user=TEXT --database=TEXT --ssl-mode=TEXT 
peer remove|PEER|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
check|SOURCE [DESTINATION]|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
mirror create|NAME|--config=FILE --state-dir=DIR --source=PEER --destination=PEER --table=SOURCE[=DEST] --exclude=TABLE:COLUMN --partition-key=TABLE:COLUMN --file=FILE --wait --json --timeout=SECONDS --version --help --do-initial-snapshot=yes,no --snapshot-num-rows-per-partition=N --snapshot-max-parallel-workers=N --snapshot-num-tables-in-parallel=N --cdc-batch-size=N --cdc-sync-interval-seconds=N --publication-name=TEXT --replication-slot-name=TEXT --replicate-indexes=yes,no --replicate-foreign-keys=yes,no --resync-strategy=truncate,swap --schema-changes=manual,auto --dropped-columns=keep,drop --on-table-error=stop,set_aside 
mirror list||--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
mirror show|MIRROR|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
mirror tables|MIRROR|--config=FILE --state-dir=DIR --table=SOURCE[=DEST] --exclude=TABLE:COLUMN --partition-key=TABLE:COLUMN --set --available --file=FILE --json --timeout=SECONDS --version --help 
mirror change|MIRROR|--config=FILE --state-dir=DIR --file=FILE --json --timeout=SECONDS --version --help --snapshot-num-rows-per-partition=N --snapshot-max-parallel-workers=N --snapshot-num-tables-in-parallel=N --cdc-batch-size=N --cdc-sync-interval-seconds=N --replicate-indexes=yes,no --replicate-foreign-keys=yes,no --resync-strategy=truncate,swap --schema-changes=manual,auto --dropped-columns=keep,drop --on-table-error=stop,set_aside 
mirror delete|MIRROR|--config=FILE --state-dir=DIR --force --wait --json --timeout=SECONDS --version --help 
pause|MIRROR|--config=FILE --state-dir=DIR --wait --json --timeout=SECONDS --version --help 
resume|MIRROR|--config=FILE --state-dir=DIR --wait --json --timeout=SECONDS --version --help 
retry|MIRROR|--config=FILE --state-dir=DIR --recreate-slot --take-slot --wait --json --timeout=SECONDS --version --help 
resync|MIRROR [TABLE]|--config=FILE --state-dir=DIR --strategy=truncate,swap --wait --json --timeout=SECONDS --version --help 
sync-schema|MIRROR|--config=FILE --state-dir=DIR --dry-run --wait --json --timeout=SECONDS --version --help 
verify|MIRROR|--config=FILE --state-dir=DIR --last --repair --wait --json --timeout=SECONDS --version --help 
cutover|MIRROR|--config=FILE --state-dir=DIR --verify --read-only --wait --json --timeout=SECONDS --version --help 
logs|MIRROR|--config=FILE --state-dir=DIR --follow --lines=N --level=debug,info,warn,error --search=TEXT --json --timeout=SECONDS --version --help 
runs|MIRROR|--config=FILE --state-dir=DIR --lines=N --json --timeout=SECONDS --version --help 
doctor|MIRROR|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
diagnose|MIRROR|--config=FILE --state-dir=DIR --json --timeout=SECONDS --version --help 
'

# What is there, from the running process: _bunnydb_names peer|mirror, for the words typed so far.
_bunnydb_names() {
	local i where=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--state-dir | -c | --config) where+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	"${COMP_WORDS[0]}" "$1" list "${where[@]}" --timeout 2 2>/dev/null | sed '1d; s/ .*//'
}

_bunnydb() {
	local cur=${COMP_WORDS[COMP_CWORD]} words args options row value='' i w typed=() n
	local all=" ${_bunnydb_rows//[$'\n'|]/ } "
	COMPREPLY=()
	# The words that are neither options nor their values.
	for ((i = 1; i < COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		case $w in
		-c | -n) i=$((i + 1)) ;;
		--*) [[ $all != *" $w="* ]] || i=$((i + 1)) ;;
		-*) ;;
		*) typed+=("$w") ;;
		esac
	done
	# An option that waits for its value: what the value is.
	w=${COMP_WORDS[COMP_CWORD - 1]}
	if ((i > COMP_CWORD)); then
		[[ $w != -c ]] || w=--config
		value=${all#*" $w="}
		value=${value%% *}
		case $value in
		FILE) COMPREPLY=($(compgen -f -- "$cur")) ;;
		DIR) COMPREPLY=($(compgen -d -- "$cur")) ;;
		PEER) COMPREPLY=($(compgen -W "$(_bunnydb_names peer)" -- "$cur")) ;;
		*,*) COMPREPLY=($(compgen -W "${value//,/ }" -- "$cur")) ;;
		esac
		return
	fi
	local next=()
	while IFS='|' read -r words args options; do
		[[ -n $options ]] || continue
		row=($words)
		n=${#row[@]}
		if [[ "${typed[*]:0:n}" == "$words" ]] && ((${#typed[@]} >= n)); then
			if [[ $cur == -* ]]; then
				# the process itself fits everything; a command goes before it
				[[ -z $words && ${#typed[@]} -gt 0 ]] ||
					next+=($(sed 's/=[^ ]*//g' <<<"$options"))
			elif [[ -n $words ]] && ((${#typed[@]} == n)); then
				case ${args#[} in
				PEER* | SOURCE*) next+=($(_bunnydb_names peer)) ;;
				MIRROR*) next+=($(_bunnydb_names mirror)) ;;
				esac
			elif [[ -n $words && $args == *DESTINATION* ]] && ((${#typed[@]} == n + 1)); then
				next+=($(_bunnydb_names peer))
			fi
		elif [[ $cur != -* ]] && ((${#typed[@]} < n)) &&
			[[ "${row[*]:0:${#typed[@]}}" == "${typed[*]}" ]]; then
			next+=("${row[${#typed[@]}]}")
		fi
	done <<<"$_bunnydb_rows"
	COMPREPLY=($(compgen -W "${next[*]}" -- "$cur" | sort -u))
}
complete -F _bunnydb bunnydb

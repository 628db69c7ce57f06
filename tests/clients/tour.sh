#!/bin/bash
# What `make run` shows: Leat at work on this machine, from an empty folder to merged entities, and everything stopped again.
#
# Happy path: `leat up` starts a private nats-server, Postgres and two consumers in .leat/; sample.jsonl is published, four writers of it at
# the same time, each outcome shown as it comes; then entities, activity and dead letters are read back and printed. A second tour
# publishes the same file into the same folder.
#
# Possible failure modes are: nothing built; a folder that is in use; a server that does not come up; an outcome that is missing or not the
# one expected. Each ends with a sentence and status 1. Whatever happens, what was started is stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."

leat=${LEAT_BINARY:-build/leat}
state=${LEAT_STATE_DIR:-.leat}
sample=tests/clients/sample.jsonl
log=$state/tour.log
up=
slow=
writers=()

# ---- what was started is stopped, however this ends ----

# Each in a process group of its own: Ctrl-C reaches only us, and we stop them in order.
start() {
	set -m
	"$@" &
	set +m
}

stop() {
	local status=$? writer
	trap '' INT TERM HUP
	for writer in "${writers[@]}"; do
		kill -- "-$writer" || true
	done
	[[ -z $up ]] || kill "$up" || true
	[[ -z $slow ]] || kill "$slow" || true
	wait
	exit "$status"
} 2>/dev/null

fail() {
	printf '\n\nThe tour ends here: %s\n' "$*" >&2
	exit 1
}

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- the servers ----

run_up() {
	exec setpriv --pdeathsig TERM "$leat" up --state-dir "$state" --consumers 2 </dev/null >>"$log" 2>&1
}

# until_true SECONDS COMMAND...: looks again and again; false when the time is over, or `leat up` is.
until_true() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		kill -0 "$up" 2>/dev/null && ((SECONDS < deadline)) || return 1
		sleep 0.1
	done
}

is_up() {
	grep -q '^leat is up' "$log" 2>/dev/null
}

# An earlier tour may have been interrupted: what it left in the stream is not counted as ours.
all_settled() {
	local report left
	report=$("$leat" status --json || true)
	left=$(query -At --set report="$report" <<'SQL'
SELECT sum((lane ->> 'pending')::bigint + (lane ->> 'in_flight')::bigint) + (SELECT count(*) FROM leat.parked)
FROM json_array_elements(:'report'::json #> '{nats,lanes}') lane
SQL
	)
	[[ $left == 0 ]]
}

all_relayed() {
	[[ $(query -At -c 'SELECT count(*) FROM leat.outbox') == 0 ]]
}

# ---- words and tables ----

heading() {
	printf '\n\n%s\n%s\n%s\n' "$1" "${1//?/=}" "$2"
}

query() {
	psql "$LEAT_DATABASE_URL" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set since="${since:-0}" "$@" ||
		fail "Postgres did not answer; see $state/postgres.log."
}

# A table, no wider than 100 columns.
table() {
	local lines=ascii
	[[ $(locale charmap) != UTF-8 ]] || lines=unicode
	query -P pager=off -P footer=off -P border=2 -P linestyle=$lines -P format=wrapped -P columns=100 "$@"
}

# ---- publishing ----

# The lines of the sample by one actor, the next when the outcome of the one before is there, so that actors take turns; a sign for each
# outcome as it comes. That some are rejected is part of the sample.
publish_as() {
	local line outcome
	grep -F "\"actor\":\"$1\"" "$sample" | while read -r line; do
		"$leat" publish --wait <<<"$line" || true
	done | while read -r outcome; do
		case $outcome in
		'{"status":"applied"'*) printf ' +' ;;
		'{"status":"duplicate"'*) printf ' =' ;;
		'{"status":"rejected"'*) printf ' x' ;;
		esac
	done
}

publish() {
	local actor writer
	printf '\n  %-38s' "$1"
	shift
	for actor in "$@"; do
		start publish_as "$actor"
		writers+=($!)
	done
	for writer in "${writers[@]}"; do
		wait "$writer"
	done
	writers=()
	kill -0 "$up" 2>/dev/null || fail "\`leat up\` ended by itself; see $log."
}

# How many of the messages that this tour published ended so.
settled() {
	query -At --set outcome="$1" <<<"SELECT count(*) FROM leat.activity WHERE stream = 'LEAT_ENTITY' AND position > :since AND outcome = :'outcome'"
}

expect() {
	local found
	found=$(settled "$1")
	((found == $2)) || fail "$found messages are $1, not $2. What happened is in $log."
}

# shellcheck source=tests/clients/tour_workflow.sh
. tests/clients/tour_workflow.sh

# ---- the tour ----

[[ -x $leat ]] || fail "there is no $leat; run \`make\` first."
mkdir -p "$state"
: >"$log" # what an earlier tour left would pass for an answer

heading "Starting" "A private nats-server, a private Postgres and two consumers, all in $state/:"
printf '  '
start_slow_server
start run_up
up=$!
until_true 90 is_up || fail "\`leat up\` did not come up. It says: $(printf '\n%s' "$(tail -n 15 "$log")")"
# shellcheck source=/dev/null
. "$state/env"
echo "ready. NATS is $LEAT_NATS_URL, Postgres is $LEAT_DATABASE_URL"

until_true 60 all_settled || fail "what was published earlier is not settled; see \`$leat status\` and $log."
since=$(query -At -c "SELECT coalesce(max(position), 0) FROM leat.activity WHERE stream = 'LEAT_ENTITY'")
lines=$(grep -c . "$sample")
bad=$(grep -c '"actor":"newcomer"' "$sample")
again=$(query -At -c "SELECT count(*) FROM leat.message_ids WHERE leat_id = 'order-1001'")

heading "Publishing $lines messages" "Each line of $sample is one. + applied, = a duplicate, x rejected:"
publish "an import, one message sent twice" importer
publish "four writers race on one entity" writer-1 writer-2 writer-3 writer-4
publish "an editor: merge, bulk, unset, delete" editor
publish "a newcomer: $bad mistakes" newcomer
echo
((again == 0)) || echo "  (Both are duplicates now: the Leat-Id was used up by an earlier tour in this folder.)"
expect applied $((lines - bad - 1 - again))
expect duplicate $((1 + again))
expect rejected "$bad"
until_true 30 all_relayed || fail "the dead letters were not published; see $log."

heading "Entities" "What was merged, field by field. The same key or id in two tenants is two entities."
table <<'SQL'
SELECT left(tenant_id::text, 4) || '..' AS tenant, entity_type || ' ' || coalesce(key, left(id::text, 4) || '..' || right(id::text, 2)) AS entity,
	CASE WHEN deleted_at IS NULL THEN content::text ELSE 'deleted' END AS content
FROM leat.entities ORDER BY tenant_id, 2
SQL
echo "Four writers merged into \"launch\" at the same time, none of them read it before: nothing is lost."
echo "The 20-digit code of order 1001 is as it was sent: no number is ever rounded."

heading "Activity" "Who did what, and how it ended: one row for each message, written with its effect."
table <<'SQL'
SELECT a.position, to_char(a.at, 'HH24:MI:SS') AS "when", left(a.tenant_id::text, 4) || '..' AS tenant, a.actor AS who, a.noun || '.' || a.verb AS what,
	CASE WHEN a.verb = 'bulk' THEN (a.detail ->> 'entities') || ' entities' ELSE coalesce(e.key, left(e.id::text, 4) || '..' || right(e.id::text, 2)) END AS "to",
	a.outcome || coalesce(': ' || a.code, '') AS outcome
FROM leat.activity a LEFT JOIN leat.entities e ON e.tenant_id = a.tenant_id AND e.id = a.target_id
WHERE a.stream = 'LEAT_ENTITY' AND a.position > :since ORDER BY a.position
SQL

heading "Dead letters" "What can never work is kept apart, whole, with the reason. It held up nobody."
letters=$("$leat" dead list --json --limit "$bad" | paste -sd,)
table --set letters="[$letters]" <<'SQL'
SELECT seq, intent, code, error
FROM json_to_recordset(:'letters') AS d (seq bigint, intent text, code text, error text) ORDER BY seq
SQL

show_workflow

heading "Try it yourself" "Everything stops now. This starts it again, until Ctrl-C; what is stored is still there:"
cat <<TEXT

  $leat up

Then, in a second terminal:

  . $state/env
  # publish one message yourself, and see its outcome
  echo '{"entity_type":"product","key":"bun","content":{"name":"Bun","price":0.80}}' |
    $leat publish entity.upsert --tenant 11111111-1111-4111-8111-111111111111 --wait
  # start another consumer; it shares the work at once
  $leat consume
  # watch what waits, what runs and what is dead
  $leat status --watch
  # read with SQL
  psql "\$LEAT_DATABASE_URL" -c 'SELECT entity_type, key, content FROM leat.entities'
  # who changed what, and from what to what
  psql "\$LEAT_DATABASE_URL" -c 'SELECT at, actor, operation, (old).content AS before, (new).content AS after FROM leat.audit_log'
  # one dead letter, whole
  $leat dead show 1

TEXT

# The part of the tour that shows a workflow: a split over five items, each a slow HTTP call, a collect, a question to a person, a merge into an
# entity. Sourced by tour.sh.

workflow=33333333-3333-4333-8333-333333333333
person=99999999-9999-4999-8999-999999999999
tenant=11111111-1111-4111-8111-111111111111

# The server that the calls go to; `leat up` has to know before it starts that they may.
start_slow_server() {
	local port
	start setpriv --pdeathsig TERM perl tests/clients/slow.pl >"$state/slow.port"
	slow=$!
	until [[ -s $state/slow.port ]]; do
		kill -0 "$slow" 2>/dev/null || fail "the slow server did not start."
		sleep 0.05
	done
	port=$(<"$state/slow.port")
	slow_url=http://127.0.0.1:$port/
	export LEAT_ALLOW_HOSTS=127.0.0.1:$port
}

# send NOUN.VERB ROLE BODY: one message, on one line; its outcome must be that it was applied.
send() {
	local outcome
	outcome=$("$leat" publish "$1" --tenant "$tenant" --role "$2" --actor "$person" --wait <<<"${3//[$'\n\t']/}") || fail "$1: $outcome"
}

run_is() {
	[[ $(query -At -c "SELECT status FROM leat.runs WHERE id = '$run'") == "$1" ]]
}

show_workflow() {
	local question note
	run=$(</proc/sys/kernel/random/uuid)
	note=$(</proc/sys/kernel/random/uuid)
	heading "A workflow" "Five topics, each sent to a slow HTTP server; a person who decides; what came of it in an entity."
	send workflow.save service '{"workflow_id":"'$workflow'","action":"new","name":"drafts","definition":{"nodes":[
		{"id":"topics","type":"split","items":{"$ref":"input#/topics"}},
		{"id":"write","type":"http","method":"POST","url":{"$ref":"input#/url"},"body":{"topic":{"$ref":"item#"}}},
		{"id":"drafts","type":"collect"},
		{"id":"approve","type":"question","connection_id":"tour","expected_user_id":"'$person'","payload":{"drafts":{"$ref":"drafts#"}}},
		{"id":"keep","type":"merge","content":{"drafts":{"$ref":"drafts#"},"decision":{"$ref":"approve#"}}}],
		"edges":[["topics","write"],["write","drafts"],["drafts","approve"],["approve","keep"]]}}'
	send entity.upsert service '{"entity_id":"'"$note"'","entity_type":"issue","content":{"title":"Winter"}}'
	send run.start service '{"run_id":"'"$run"'","workflow_id":"'$workflow'","entity_id":"'"$note"'",
		"input":{"url":"'"$slow_url"'","topics":["snow","soup","skis","stoves","stars"]}}'
	until_true 60 run_is waiting || fail "the run did not come to its question; see \`$leat runs show $run\` and $log."
	printf '\n  $ leat runs show %s\n\n' "$run"
	"$leat" runs show "$run"

	question=$(query -At -c "SELECT id FROM leat.interactions WHERE run_id = '$run'")
	printf '\n  $ echo %s |\n      leat publish interaction.answer --role user …\n\n' "'{…,\"value\":\"print it\"}'"
	send interaction.answer user '{"interaction_id":"'"$question"'","connection_id":"tour","user_id":"'$person'","value":"print it"}'
	until_true 60 run_is completed || fail "the run was not completed; see \`$leat runs show $run\` and $log."
	"$leat" runs show "$run"
	echo
	table <<<"SELECT entity_type AS entity, jsonb_pretty(content) AS content FROM leat.entities WHERE id = '$note'"
}

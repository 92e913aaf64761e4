package faults

import (
	"net/http"
	"testing"
)

// sources are the faults of what a job observes. Its adapter stands behind a gate.
func sources() chapter {
	const remedy = "see which task failed by loop jobs runs ID --failed, and its input by loop jobs runs ID RUN"
	blind := func(fault string) *job {
		return &job{"degraded", "this node has observed nothing for … (failures: …): …" + fault, remedy}
	}
	adapter := []component{{"bridge prices", "failed", "bridge prices has given no good answer for …",
		"see that its adapter runs at the address of loop bridges url prices, and what the adapter's own log says"}}
	fails := []string{"LoopJobDegraded", "LoopObservationsFail", "LoopBridgeFails"}
	return chapter{
		title: "A job's sources",
		about: "The feed goes on with the observations of the other nodes. `loop jobs runs ID --failed` shows each task of " +
			"a run that failed.",
		faults: []fault{
			{
				name: "an adapter is down",
				make: func(s *scene) { s.adapter.shut(); s.undo(func() { s.adapter.open(s.t) }) },
				says: says{status: "degraded", job: blind("task ds (bridge): the request to bridge prices failed: …connection " +
					"refused"), parts: adapter, alerts: fails},
				todo: "start the adapter, or correct the bridge's URL",
			},
			{
				name: "an adapter is too slow",
				make: func(s *scene) { s.adapter.hang(); s.undo(func() { s.adapter.broken(nil) }) },
				says: says{status: "degraded", job: blind("task ds (bridge): the request to bridge prices got no answer: the " +
					"time for one attempt is over (timeout is 800ms)"), parts: adapter, alerts: fails},
				todo: "see what the adapter waits for; the task's timeout bounds it",
			},
			{
				name: "an adapter answers with an error",
				make: func(s *scene) { s.breaks(http.StatusBadGateway, "upstream is away") },
				says: says{status: "degraded", job: blind("task ds (bridge): bridge prices answered with status " +
					"502"), parts: adapter, alerts: fails},
				todo: "see the adapter's log",
			},
			{
				name: "an adapter answers garbage",
				make: func(s *scene) { s.breaks(http.StatusOK, "<html>Under maintenance</html>") },
				says: says{status: "degraded", job: blind("task parse (jsonparse): the data is not JSON: " +
					"…"), alerts: []string{"LoopJobDegraded", "LoopObservationsFail"}},
				todo: "see what answers at the bridge's URL",
			},
			{
				name: "an adapter's answer lacks what a task wants",
				make: func(s *scene) { s.breaks(http.StatusOK, `{"data":{"price":"2000"}}`) },
				says: says{status: "degraded", job: blind("task parse (jsonparse): could not follow the path to \"result\", " +
					"segment 2: there is no such key"), alerts: []string{"LoopJobDegraded", "LoopObservationsFail"}},
				todo: "correct the task's path, or the adapter",
			},
			{
				name: "an adapter's answer cannot be computed with",
				make: func(s *scene) { s.breaks(http.StatusOK, `{"data":{"result":"n/a"}}`) },
				says: says{status: "degraded", job: blind("task scale (multiply): the input from task parse: \"n/a\" is not a " +
					"decimal number"), alerts: []string{"LoopJobDegraded", "LoopObservationsFail"}},
				todo: "see why the adapter has no number",
			},
			{
				name:   "a price source stands still",
				within: 2 * patience,
				make:   func(s *scene) { s.breaks(http.StatusOK, `{"data":{"result":"1800"}}`) },
				says: says{
					status: "degraded", alerts: []string{"LoopJobDegraded", "LoopObservationDeviates"},
					job: &job{"degraded", "this node's observations have been away from the contract's answer for …: … is … % " +
						"below …",
						"see that the job's sources are not stale and ask for the right price: loop jobs runs shows what each gave"},
				},
			},
		},
	}
}

// breaks has the adapter give one answer to all.
func (s *scene) breaks(code int, body string) {
	s.adapter.broken(answering(code, body))
	s.undo(func() { s.adapter.broken(nil) })
}

// runSources makes them one after another on a node whose feed goes on.
func runSources(t *testing.T, at *scene) {
	at.on(t).follow()
	for _, f := range sources().faults {
		t.Run(f.name, func(t *testing.T) { at.on(t).live(f) })
	}
}

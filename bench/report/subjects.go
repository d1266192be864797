package main

import (
	breakerbench "github.com/seed4886185c/concert/bench/breaker"
	gatherbench "github.com/seed4886185c/concert/bench/gather"
	"github.com/seed4886185c/concert/bench/measure"
	pipelinebench "github.com/seed4886185c/concert/bench/pipeline"
	pubsubbench "github.com/seed4886185c/concert/bench/pubsub"
	ratelimitbench "github.com/seed4886185c/concert/bench/ratelimit"
	retrybench "github.com/seed4886185c/concert/bench/retry"
)

// A subject is a package of the library that is compared with its peers.
type subject struct {
	name      string
	scenarios func() []measure.Scenario
	judge     func(figures) []verdict // compares its figures with its targets
}

// subjects returns all packages, in the order of the report.
func subjects() []subject {
	return []subject{
		{"gather", gatherbench.Scenarios, judgeGather},
		{"retry", retrybench.Scenarios, judgeRetry},
		{"breaker", breakerbench.Scenarios, judgeBreaker},
		{"ratelimit", ratelimitbench.Scenarios, judgeRatelimit},
		{"pipeline", pipelinebench.Scenarios, judgePipeline},
		{"pubsub", pubsubbench.Scenarios, judgePubsub},
	}
}

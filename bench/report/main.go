// Command report measures package gather against its peers and writes the
// figures as Markdown.
//
// It runs in the directory of the module:
//
//	go run ./report [-rounds n] [-run regexp] [-o file] [-readme]
package main

import (
	"flag"
	"log"
	"os"
	"regexp"
	"strings"
	"time"

	gatherbench "github.com/seed4886185c/concert/bench/gather"
	"github.com/seed4886185c/concert/bench/measure"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", measure.DefaultRounds, "how often each contender is timed, at least 7")
	filter := flag.String("run", "", "measure only the scenarios whose names match this regular `expression`")
	out := flag.String("o", "RESULTS.md", "write the report to this `file`")
	readme := flag.Bool("readme", false, "also put the targets into README.md")
	flag.Parse()
	match, err := regexp.Compile(*filter)
	if err != nil {
		log.Fatal(err)
	}

	if *rounds < measure.MinRounds {
		log.Fatalf("report: at least %d rounds", measure.MinRounds)
	}

	start := time.Now()
	measured := figures{}
	var scenarios []measure.Scenario
	for _, s := range gatherbench.Scenarios() {
		if !match.MatchString(s.Name) {
			continue
		}
		log.Printf("%4.0fs  %s", time.Since(start).Seconds(), s.Name)
		scenarios = append(scenarios, s)
		measured[s.Name] = measure.Run(s, *rounds)
	}
	log.Printf("%4.0fs  done", time.Since(start).Seconds())

	var b strings.Builder
	b.WriteString("# Results\n\nWritten by `go run ./report`. The [README](README.md) tells how they were measured.\n\n")
	b.WriteString(machine(*rounds))
	for _, s := range scenarios {
		b.WriteString(table(s, measured[s.Name]))
	}
	targets := targetTable(judge(measured))
	b.WriteString("\n## Targets\n\n" + targets)
	if err := os.WriteFile(*out, []byte(b.String()), 0o644); err != nil {
		log.Fatal(err)
	}
	if *readme {
		if err := intoReadme("README.md", machine(*rounds)+"\n"+targets); err != nil {
			log.Fatal(err)
		}
	}
}

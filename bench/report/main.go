// Command report measures the packages of the library against their peers and
// writes the figures as Markdown.
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

	"github.com/seed4886185c/concert/bench/measure"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", measure.DefaultRounds, "how often each contender is timed, at least 7")
	filter := flag.String("run", "", "measure only the scenarios whose names, as package/scenario, match this regular `expression`")
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
	var sections, targets strings.Builder
	targets.WriteString(targetHead)
	for _, pkg := range subjects() {
		measured := figures{}
		for _, s := range pkg.scenarios() {
			name := pkg.name + "/" + s.Name
			if !match.MatchString(name) {
				continue
			}
			log.Printf("%4.0fs  %s", time.Since(start).Seconds(), name)
			measured[s.Name] = measure.Run(s, *rounds)
			sections.WriteString(section(name, s.Unit, measured[s.Name]))
		}
		targets.WriteString(targetRows(pkg.name, pkg.judge(measured)))
	}
	log.Printf("%4.0fs  done", time.Since(start).Seconds())

	report := "# Results\n\nWritten by `go run ./report`. The [README](README.md) tells how they were measured.\n\n" +
		machine(*rounds) + sections.String() + "\n## Targets\n\n" + targets.String()
	if err := os.WriteFile(*out, []byte(report), 0o644); err != nil {
		log.Fatal(err)
	}
	if *readme {
		if err := intoReadme("README.md", machine(*rounds)+"\n"+targets.String()); err != nil {
			log.Fatal(err)
		}
	}
}

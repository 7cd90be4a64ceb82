package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/necrostack/necrostack/bench/peers"
)

// pools are the sizes that each peer is tried with; the better one counts.
var pools = []int{16, 64}

// A workload is what all peers do.
type workload struct {
	name      string
	writers   int // 0: it reads
	events    int // of a commit
	oneStream bool
}

var workloads = []workload{
	{name: "1 writer", writers: 1, events: 1},
	{name: "8 writers", writers: 8, events: 1},
	{name: "64 writers", writers: 64, events: 1},
	{name: "8 writers x 10 events", writers: 8, events: 10},
	{name: "load 1,000 events", oneStream: true},
	{name: "read all"},
}

// A standing is what a peer's better pool came to in a workload: the median of the rounds.
type standing struct {
	Peer     string  `json:"peer"`
	Workload string  `json:"workload"`
	Pool     int     `json:"pool"`
	Rate     float64 `json:"events_per_second"`
	P50      float64 `json:"p50_ms"` // of a commit, a load, or a read of everything
	P99      float64 `json:"p99_ms"`
	Checks   bool    `json:"checks_versions"`

	rounds []float64 // the better pool's rate in each
}

// compare measures all peers side by side, prints the table and the figures, and writes the standings to a file.
func compare(ctx context.Context, rounds int, file string) (err error) {
	s := &server{}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if err := s.start(ctx); err != nil {
		return err
	}
	var table []standing
	for _, w := range workloads {
		rows, err := s.standings(ctx, w, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		table = append(table, rows...)
	}
	fmt.Printf("# machine: %s\n", load())
	printTable(table)
	printBest("peer-best-8", "8 writers", table)
	printBest("peer-best-64", "64 writers", table)
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(table, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

// standings measures a workload: in each round every peer with every pool, one after the other.
func (s *server) standings(ctx context.Context, w workload, rounds int) ([]standing, error) {
	type result struct {
		measured
		pool int
	}
	all := peers.All()
	results := make([][]result, len(all))
	for round := range rounds {
		for i, peer := range all {
			if w.oneStream && !peer.Loads {
				continue
			}
			var best result
			for _, pool := range pools {
				m, err := once(ctx, func(ctx context.Context) (measured, error) { return s.peer(ctx, peer, pool, w) })
				if err != nil {
					return nil, fmt.Errorf("%s: %w", peer.Name, err)
				}
				fmt.Printf("run %s, %s, pool %d %d %v\n", peer.Name, w.name, pool, round+1, m)
				if m.rate > best.rate {
					best = result{m, pool}
				}
			}
			results[i] = append(results[i], best)
		}
	}
	var table []standing
	for i, of := range results {
		if len(of) == 0 {
			continue
		}
		row := standing{Peer: all[i].Name, Workload: w.name, Checks: all[i].Checks}
		for _, r := range of {
			row.rounds = append(row.rounds, r.rate)
		}
		slices.SortFunc(of, func(a, b result) int { return int(a.rate - b.rate) })
		median := of[len(of)/2]
		row.Pool, row.Rate = median.pool, median.rate
		row.P50, row.P99 = median.percentile(50).Seconds()*1000, median.percentile(99).Seconds()*1000
		table = append(table, row)
	}
	return table, nil
}

// peer measures a peer once, in a database of its own.
func (s *server) peer(ctx context.Context, peer peers.Peer, pool int, w workload) (m measured, err error) {
	product, name := s.launched.Product, fmt.Sprintf("%s_%d", s.database, s.next())
	dsn, err := product.Create(ctx, s.launched.DSN, name)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, product.Drop(context.WithoutCancel(ctx), s.launched.DSN, name)) }()
	payload, err := json.Marshal(sample)
	if err != nil {
		return m, err
	}
	store, err := peer.Open(ctx, dsn, pool, payload)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	own := &server{dsn: dsn}
	if err := own.exec(ctx, "CHECKPOINT"); err != nil {
		return m, err
	}
	if w.writers == 0 {
		return readPeer(ctx, own, peer, store, w)
	}
	x := writers{n: w.writers, events: w.events, write: func(ctx context.Context, writer, k int) error {
		stream, version := place("o", writer, k*w.events)
		return store.Append(ctx, stream, version, w.events)
	}}
	m, commits, err := x.measure(ctx)
	if err != nil {
		return m, err
	}
	return m, errors.Join(own.count(ctx, peer.Table, commits*w.events), refusesVersion(ctx, peer, store))
}

// refusesVersion checks that a peer that is said to check versions does.
func refusesVersion(ctx context.Context, peer peers.Peer, store peers.Store) error {
	stream, _ := place("o", 0, 0)
	if err := store.Append(ctx, stream, 0, 1); peer.Checks == (err == nil) {
		return fmt.Errorf("an append that expects a version that has passed: %w", err)
	}
	return nil
}

// readPeer fills a log with streams of 1,000 events and reads it.
func readPeer(ctx context.Context, own *server, peer peers.Peer, store peers.Store, w workload) (measured, error) {
	const each, perCommit, goroutines = 1000, 100, 4
	streams := 100
	if peer.Sips {
		streams = 5
	}
	name := func(n int) string { return fmt.Sprint("o-", n) }
	if err := together(goroutines, func(g int) error {
		for n := g; n < streams; n += goroutines {
			for version := 0; version < each; version += perCommit {
				if err := store.Append(ctx, name(n), version, perCommit); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		return measured{}, err
	}
	if err := own.count(ctx, peer.Table, streams*each); err != nil {
		return measured{}, err
	}
	if err := own.exec(ctx, "VACUUM ANALYZE"); err != nil {
		return measured{}, err
	}
	return reading(func(n int) (got, want int, err error) {
		if w.oneStream {
			got, err = store.Load(ctx, name(n%streams))
			return got, each, err
		}
		got, err = store.All(ctx, streams*each)
		return got, streams * each, err
	})
}

func printTable(table []standing) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "workload\tpeer\tpool\tevents/s\tp50 ms\tp99 ms\tchecks versions\t")
	for _, r := range table {
		checks := map[bool]string{true: "yes", false: "no"}[r.Checks]
		fmt.Fprintf(out, "%s\t%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t\n", r.Workload, r.Peer, r.Pool, r.Rate, r.P50, r.P99, checks)
	}
	if err := out.Flush(); err != nil {
		report("%v", err)
	}
}

// printBest prints ours over the fastest peer that checks versions: the median of the rounds' ratios.
func printBest(name, workload string, table []standing) {
	var ours standing
	var theirs []standing
	for _, r := range table {
		switch {
		case r.Workload != workload:
		case strings.HasPrefix(r.Peer, "necrostack"):
			ours = r
		case r.Checks:
			theirs = append(theirs, r)
		}
	}
	ratios := make([]float64, len(ours.rounds))
	for i := range ratios {
		fastest := slices.MaxFunc(theirs, func(a, b standing) int { return int(a.rounds[i] - b.rounds[i]) })
		ratios[i] = ours.rounds[i] / fastest.rounds[i]
		fmt.Printf("run %s %d %.2f x (%.0f over %.0f events/s of %s)\n", name, i+1, ratios[i], ours.rounds[i], fastest.rounds[i], fastest.Peer)
	}
	slices.Sort(ratios)
	fmt.Printf("figure %s %.2f x\n", name, ratios[len(ratios)/2])
}

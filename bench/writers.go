package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lasting = 3 * time.Second // of what is measured
	warm    = 5               // commits that each writer makes before: connections are open then, statements prepared
)

// together runs n goroutines and joins what went wrong in them.
func together(n int, run func(w int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() { errs[w] = run(w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// writers is how a figure's goroutines write.
type writers struct {
	n      int
	events int // of a commit

	// write makes the kth commit of writer w.
	write func(ctx context.Context, w, k int) error
	// ready, if not nil, is called when all are warm, and returns when they shall go on.
	ready func() error
}

// measure has the writers write, each its next commit when the one before is acknowledged. It also returns how many
// commits were made in all, those before the measured time among them.
func (x writers) measure(ctx context.Context) (s measured, commits int, err error) {
	if err := together(x.n, func(w int) error {
		for k := range warm {
			if err := x.write(ctx, w, k); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return s, 0, err
	}
	if x.ready != nil {
		if err := x.ready(); err != nil {
			return s, 0, err
		}
	}
	took := make([][]time.Duration, x.n)
	var over atomic.Bool
	timer := time.AfterFunc(lasting, func() { over.Store(true) })
	defer timer.Stop()
	start := time.Now()
	err = together(x.n, func(w int) error {
		took[w] = make([]time.Duration, 0, 1<<12)
		for k, before := warm, time.Now(); !over.Load(); k++ {
			if err := x.write(ctx, w, k); err != nil {
				over.Store(true)
				return err
			}
			now := time.Now()
			took[w], before = append(took[w], now.Sub(before)), now
		}
		return nil
	})
	elapsed := time.Since(start)
	s.took = slices.Concat(took...)
	slices.Sort(s.took)
	s.rate = float64(len(s.took)*x.events) / elapsed.Seconds()
	return s, len(s.took) + x.n*warm, err
}

package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/spine"
)

// look is how often somebody looks at what other processes do: nothing announces that.
const look = 100 * time.Millisecond

// crew is how each organ stands, in the order of allOrgans, whichever processes run it.
type crew []eventstore.Status

// crewOf asks the log. An organ that nobody ever ran has the zero Status but for its name.
func crewOf(ctx context.Context, store *eventstore.Store) (crew, error) {
	known, err := store.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	c := make(crew, len(allOrgans))
	for i, name := range allOrgans {
		c[i].Consumer = name
		for _, st := range known {
			if st.Consumer == name {
				c[i] = st
			}
		}
	}
	return c, nil
}

// String says how many processes run which organs.
func (c crew) String() string {
	by := map[int][]string{}
	most := 0
	for _, st := range c {
		n := len(st.Members)
		by[n] = append(by[n], st.Consumer)
		most = max(most, n)
	}
	var all []string
	for n := most; n >= 0; n-- {
		switch organs := strings.Join(by[n], ", "); {
		case organs == "":
		case n == 0:
			all = append(all, "nobody runs "+organs)
		case n == 1:
			all = append(all, "1 process runs "+organs)
		default:
			all = append(all, fmt.Sprintf("%d processes run %s", n, organs))
		}
	}
	return strings.Join(all, "; ")
}

// idle lists the organs that no process runs.
func (c crew) idle() (organs []string) {
	for _, st := range c {
		if len(st.Members) == 0 {
			organs = append(organs, st.Consumer)
		}
	}
	return organs
}

// done reports whether all have handled what is in the log up to a position.
func (c crew) done(upTo eventstore.Position) bool {
	return !slices.ContainsFunc(c, func(st eventstore.Status) bool { return st.Position < upTo || st.Window > 0 })
}

// await runs the organs of this process, and waits until all have done what the rows lead to, in whatever process they are.
func (j *job) await(ctx context.Context, sp *spine.Spine) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		var err error
		if len(j.organs) > 0 {
			err = sp.Run(ctx)
		}
		if err != nil {
			stop() // nothing comes of what is waited for
		}
		ended <- err
	}()
	err := j.settle(ctx, sp.Store())
	stop()
	if why := <-ended; why != nil {
		return why
	}
	return err
}

// settle waits until nothing follows from the rows any more. It tells whom it waits for.
func (j *job) settle(ctx context.Context, store *eventstore.Store) error {
	ours := map[uuid.UUID]bool{}
	for _, r := range j.rows {
		ours[r.ID] = true
	}
	told, missed := "", time.Now()
	var head eventstore.Position // all of ours up to there is to be done
	for range every(ctx, look) {
		c, err := crewOf(ctx, store)
		if err == nil && c.done(head) {
			last := head
			if head, err = lastOf(ctx, store, ours, head); err == nil && head == last {
				return nil
			}
		}
		if err != nil && !eventstore.IsRetryable(err) {
			return err
		}
		idle := strings.Join(c.idle(), ",")
		if err != nil || idle == "" {
			missed, told = time.Now(), ""
		} else if time.Since(missed) > resume.Lease && idle != told { // whoever has died counts for as long
			told = idle
			fmt.Fprintf(j.diagnostics, "notifications: nobody runs these: start a process with -work -organs %s\n", idle)
		}
	}
	return context.Cause(ctx)
}

// lastOf returns the position of the last event after one that belongs to a request of ours, or that position.
func lastOf(ctx context.Context, store *eventstore.Store, ours map[uuid.UUID]bool, after eventstore.Position) (last eventstore.Position, err error) {
	last = after
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{After: after}) {
		if err != nil {
			return after, err
		}
		if ours[e.Metadata.Correlation] {
			last = e.Position
		}
	}
	return last, nil
}

// every yields at once, and then again and again, until ctx ends.
func every(ctx context.Context, pause time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for ctx.Err() == nil {
			if !yield(time.Now()) {
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

type events = iter.Seq2[eventstore.Event, error]

func readFlaws() []flaw {
	return []flaw{
		{
			name:   "a backend that shows an event later than its successor",
			caught: "Order/a reader that tails the log skips nothing while writers overlap",
			says:   "that went from Through to Through was never given",
			may:    []string{"Atomicity/readers see all events of a commit or none", "Order/nothing appears any more at or below a position once seen"},
			racy:   true,
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &skipping{Backend: b, hidden: map[eventstore.Position]bool{}}
			},
		},
		{
			name:   "a backend whose Through is a head asked for later",
			caught: "Order/Through belongs to the snapshot that was read",
			says:   "whoever goes on from Through skips it",
			also:   []string{"Reads/a read sees one snapshot, whatever is committed meanwhile"},
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				return func(yield func(eventstore.Event, error) bool) {
					for e, err := range b.Read(ctx, q, r) {
						if !yield(e, err) {
							return
						}
					}
					*r.Through = headOf(ctx, b)
				}
			}),
		},
		{
			name:   "a backend whose idle readers go on to a head asked for later",
			caught: "Order/a reader that finds nothing goes on from Through and skips nothing",
			says:   "that went from Through to Through was never given",
			racy:   true,
			wrap:   readsAs(idlingTooFar),
		},
		{
			name:   "a backend that reads page by page from what is there by then",
			caught: "Reads/a read sees one snapshot, whatever is committed meanwhile",
			says:   "which was committed while it went on",
			wrap:   readsAs(pageByPage),
		},
		{
			name:   "a backend that loses an event at the end of each page",
			caught: "Reads/long reads are complete and in order",
			says:   "they differ",
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				n := 0
				return filter(b.Read(ctx, q, r), func(*eventstore.Event) bool { n++; return n%1000 != 0 })
			}),
		},
		{
			name:   "a backend whose readers share a payload",
			caught: "Immutability/changing what was read changes nothing stored",
			says:   "changed what it had been given, and the log changed",
			wrap: func(b *memory.Backend) eventstore.Backend {
				var mu sync.Mutex
				shared := map[eventstore.Position]json.RawMessage{}
				return yields(func(e *eventstore.Event) bool {
					mu.Lock()
					defer mu.Unlock()
					if shared[e.Position] == nil {
						shared[e.Position] = e.Data
					}
					e.Data = shared[e.Position]
					return true
				})(b)
			},
		},
		{
			name:   "a backend that tidies payloads",
			caught: "Immutability/payloads come back byte for byte",
			says:   "came back as",
			also: []string{
				"Immutability/changing a schedule given or returned changes nothing stored",
				"Schedules/what fires is the event that was scheduled",
				"Cancellation/what the caller changes after it gave up is not written",
			},
			wrap: yields(func(e *eventstore.Event) bool {
				var b bytes.Buffer
				if json.Compact(&b, e.Data) == nil {
					e.Data = b.Bytes()
				}
				return true
			}),
		},
		{
			name:   "a backend that loses a tag",
			caught: "Immutability/tags and metadata come back as they were given",
			says:   "the tags",
			also:   []string{"Schedules/what fires is the event that was scheduled"},
			wrap:   yields(func(e *eventstore.Event) bool { e.Tags = e.Tags[:min(1, len(e.Tags))]; return true }),
		},
		{
			name:   "a backend that loses the tag of an index",
			caught: "Queries/every shape of query selects what it names",
			says:   `(tags ["row:1"])`,
			also:   []string{"Immutability/changing what was read changes nothing stored"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				for _, a := range c.Appends {
					for i := range a.Events {
						if e := &a.Events[i]; len(e.Tags) == 2 && e.Tags[0] != "seat:1" {
							e.Tags = e.Tags[1:]
						}
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that drops what the user added to the metadata",
			caught: "Immutability/tags and metadata come back as they were given",
			says:   "the metadata",
			also: []string{
				"Immutability/changing a schedule given or returned changes nothing stored",
				"Schedules/what fires is the event that was scheduled",
				"Cancellation/what the caller changes after it gave up is not written",
			},
			wrap: yields(func(e *eventstore.Event) bool { e.Metadata.User = nil; return true }),
		},
		{
			name:   "a backend whose times run backwards",
			caught: "Order/times never run backwards along the log",
			says:   "and the one before it",
			wrap: yields(func(e *eventstore.Event) bool {
				if e.Position%2 == 0 {
					e.Time = e.Time.Add(-time.Millisecond)
				}
				return true
			}),
		},
		{
			name:   "a backend with times in its own zone",
			caught: "Immutability/what the store gives is not taken from the caller",
			says:   "not in UTC",
			wrap: yields(func(e *eventstore.Event) bool {
				e.Time = e.Time.In(time.FixedZone("somewhere", 3600))
				return true
			}),
		},
		{
			name:   "a backend that ignores Limit",
			caught: "Reads/every range yields what it bounds",
			says:   "limit 1 in a log of 12 gave",
			also:   []string{"Guard/of racers who expect the same version exactly one wins"},
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				r.Limit = 0
				return b.Read(ctx, q, r)
			}),
		},
		{
			name:   "a backend that ignores UpTo",
			caught: "Reads/every range yields what it bounds",
			says:   "up to 1 in a log of 12 gave",
			also:   []string{"Reads/reads may be nested and made at once"},
			may:    []string{"Guard/no event of an unconditional writer slips behind a condition"},
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				r.UpTo = 0
				return b.Read(ctx, q, r)
			}),
		},
		{
			name:   "a backend that reads one event too many",
			caught: "Reads/every range yields what it bounds",
			says:   "after 1 in a log of 12 gave",
			also:   []string{"Order/the events of a commit stand together as they were given", "Reads/reads may be nested and made at once"},
			may:    []string{"Guard/no event of an unconditional writer slips behind a condition"},
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				r.After = max(0, r.After-1)
				return b.Read(ctx, q, r)
			}),
		},
		{
			name:   "a backend that never reads backward",
			caught: "Reads/every range yields what it bounds",
			says:   "backward in a log of 12 gave",
			also:   []string{"Guard/of racers who expect the same version exactly one wins"},
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				r.Backward = false
				return b.Read(ctx, q, r)
			}),
		},
		{
			name:   "a backend that reads the items of a query one after the other",
			caught: "Queries/every shape of query selects what it names",
			says:   "either of two",
			also:   []string{"Queries/a query of many items and names selects what any of them does"},
			wrap:   readsAs(itemByItem),
		},
		{
			name:   "a backend that does not tell small from capital letters",
			caught: "Queries/names are compared byte for byte",
			says:   "selects the event at 1 alone",
			also:   []string{"Versions/names that differ in case, space or form are different streams"},
			wrap:   readsAs(caseless),
		},
		{
			name:   "a backend that takes a category for a prefix",
			caught: "Queries/every shape of query selects what it names",
			says:   "(category book) after 0 selects the positions [1 2 3 6 7 9]",
			also:   []string{"Queries/names are compared byte for byte"},
			wrap: readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
				items := q.Items()
				if len(items) != 1 || items[0].Category == "" {
					return b.Read(ctx, q, r)
				}
				category := items[0].Category
				items[0].Category = ""
				return filter(b.Read(ctx, eventstore.Match(items...), r), func(e *eventstore.Event) bool {
					return strings.HasPrefix(string(e.Stream), category)
				})
			}),
		},
		{
			name:   "a backend whose index of tags lags behind",
			caught: "Durability/an index never lags behind the log",
			says:   "was not found by tag",
			may:    []string{"Guard/no event of an unconditional writer slips behind a condition", "Fencing/while the lease passes on nobody's work is doubled or lost"},
			wrap:   func(b *memory.Backend) eventstore.Backend { return &lagging{Backend: b} },
		},
		{
			name:   "a connection that goes on with what it saw first",
			caught: "Durability/what was acknowledged is there for every other connection",
			says:   "of 2 acknowledged events another connection saw 1",
			broad:  true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &stale{Backend: b} },
		},
	}
}

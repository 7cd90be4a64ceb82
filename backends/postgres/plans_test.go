package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// million is how many events the log has whose plans are looked at: in streams of 10, in ten categories one after the
// other, of ten types, one more that is rare, and one that only the last tenth has. One in five has tags: of its own, one
// that some share, and one of two that are hot.
const million = 1_000_000

// fill writes a million events by SQL, as commits of one event each.
func fill(t *testing.T, p *pgxpool.Pool) {
	t.Helper()
	for _, text := range []string{
		`INSERT INTO necrostack.events (position, stream, version, id, type, tags, data, metadata, time, first)
			SELECT n, 'category' || n / 100000 || '-' || n / 10, n % 10 + 1, gen_random_uuid(),
				CASE WHEN n = 777777 THEN 'rare' WHEN n > 900000 AND n % 2 = 0 THEN 'late' ELSE 'type ' || n % 10 END,
				CASE n % 10 WHEN 3 THEN json_build_array('own:' || n, 'shared:' || n / 1000, 'hot:a')
					WHEN 7 THEN json_build_array('own:' || n, 'shared:' || n / 1000, 'hot:b') END,
				'{"order": 1}', '{"correlation":"01234567-89ab-cdef-0123-456789abcdef"}', clock_timestamp(), n
			FROM generate_series(1, 1000000) n`,
		`INSERT INTO necrostack.event_tags (tag, position, type)
			SELECT t.tag, e.position, e.type FROM necrostack.events e, json_array_elements_text(e.tags) t (tag) WHERE e.tags IS NOT NULL`,
		`VACUUM (ANALYZE) necrostack.events, necrostack.event_tags`,
	} {
		if _, err := p.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// shapes are queries of every shape, from one event to many.
func shapes() map[string]eventstore.Query {
	item := func(it eventstore.Item) eventstore.Query { return eventstore.Match(it) }
	return map[string]eventstore.Query{
		"all":                    eventstore.All(),
		"stream":                 eventstore.InStream("category5-54321"),
		"streams":                eventstore.InStream("category5-54321").Or(eventstore.InStream("category6-54321"), eventstore.InStream("none-1")),
		"stream and type":        item(eventstore.Item{Stream: "category5-54321", Types: []string{"type 3"}}),
		"stream and tag":         item(eventstore.Item{Stream: "category5-54321", Tags: []string{"own:543213"}}),
		"category":               eventstore.InCategory("category5"),
		"type":                   eventstore.OfType("type 3"),
		"rare type":              eventstore.OfType("rare"),
		"late type":              eventstore.OfType("late"),
		"no such type":           eventstore.OfType("none"),
		"types":                  eventstore.OfType("type 3", "type 4", "rare"),
		"tag":                    eventstore.WithTags("shared:500"),
		"hot tag":                eventstore.WithTags("hot:a"),
		"tags":                   eventstore.WithTags("own:543213", "hot:a"),
		"hot tag, then own":      eventstore.WithTags("hot:a", "own:543213"),
		"two hot tags":           eventstore.WithTags("hot:a", "hot:b"),
		"tag and type":           item(eventstore.Item{Tags: []string{"shared:500"}, Types: []string{"type 3"}}),
		"tag and types":          item(eventstore.Item{Tags: []string{"shared:500"}, Types: []string{"type 3", "type 5"}}),
		"category and own tag":   item(eventstore.Item{Category: "category5", Tags: []string{"own:543213"}}),
		"category and rare type": item(eventstore.Item{Category: "category7", Types: []string{"rare"}}),
		"alternatives":           eventstore.InStream("category5-54321").Or(eventstore.WithTags("shared:500"), eventstore.OfType("rare")),
	}
}

func TestEveryShapeOfQueryIsServedByItsIndex(t *testing.T) {
	t.Parallel()
	p := pool(t, testenv.Postgres(t).Database(t))
	b, err := postgres.New(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	fill(t, p)
	for name, q := range shapes() {
		for _, after := range []int{0, 999_000} {
			what := fmt.Sprintf("%s after %d", name, after)
			if name != "two hot tags" || after > 0 { // what all have but one is found nowhere
				readsByIndex(t, p, b, q, what, after)
				conditionsByIndex(t, b, q, what, after)
			}
		}
	}
}

// readsByIndex fails if a read of up to 100 events looks at more than some pages for each.
func readsByIndex(t *testing.T, p *pgxpool.Pool, b *postgres.Backend, q eventstore.Query, what string, after int) {
	t.Helper()
	for _, backward := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			text, args := b.Statement(q, backward, first)
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				tx, err := p.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(t.Context(), "SET LOCAL plan_cache_mode = "+mode); err != nil {
					t.Fatal(err)
				}
				what := fmt.Sprintf("%s, backward %t, first %t, %s", what, backward, first, mode)
				boundedPages(t, tx, what, 1000, text, append([]any{int64(after), int64(million), 100}, args...)...)
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// boundedPages explains a statement as it runs.
func boundedPages(t *testing.T, tx pgx.Tx, what string, most int, text string, args ...any) {
	t.Helper()
	var plan string
	if err := tx.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+text, args...).Scan(&plan); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	var nodes []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(plan), &nodes); err != nil {
		t.Fatal(err)
	}
	if pages := nodes[0].Plan.Hit + nodes[0].Plan.Read; pages > most || strings.Contains(plan, "Seq Scan") {
		t.Errorf("%s: looks at %d pages, not at most %d: %s\n%s", what, pages, most, text, plan)
	}
}

// conditionsByIndex fails if a condition that the log is tried for looks at more than some pages. Some of them are the
// catalogue's, of the first plan in a session.
func conditionsByIndex(t *testing.T, b *postgres.Backend, q eventstore.Query, what string, after int) {
	t.Helper()
	tx, text, args, err := b.Condition(t.Context(), eventstore.Condition{Query: q, After: eventstore.Position(after)})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // it has changed nothing
	boundedPages(t, tx, "condition: "+what, 1000, text, args...)
}

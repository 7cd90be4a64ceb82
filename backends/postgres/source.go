package postgres

import (
	"fmt"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
)

// source is a query as SQL. Its statements take the position after which, the one up to which, and the number of events
// at most as $1 to $3, and args from there on. Every shape of query is read by an index in which its events stand in
// the order of the log, so that the end of a chunk ends the work.
type source struct {
	text  string // yields events e; BOUND is the position up to which
	order string
	args  []any
	texts *statements // made before for the same shape
}

// statements are the SQL of a shape: for the first chunk, which also finds the head of its snapshot, and for others.
type statements struct{ first, next string }

// columns are those of events, in the order in which decoder takes them.
const columns = "e.position, e.stream, e.version, e.id, e.type, e.tags, e.data, e.metadata, e.time"

// source makes a query's SQL, or finds that of the same shape.
func (b *Backend) source(q eventstore.Query, backward bool) *source {
	s := &source{order: "ASC"}
	if backward {
		s.order = "DESC"
	}
	items := merge(q.Items())
	switch len(items) {
	case 0:
		s.text = "SELECT * FROM @events e WHERE false AND $1::bigint + $2::bigint + $3::bigint > 0"
	case 1:
		s.text = s.item(&items[0])
	default:
		all := make([]string, len(items))
		for i := range items {
			all[i] = "(SELECT i.position FROM (" + s.item(&items[i]) + ") i)"
		}
		s.text = s.at("SELECT u.position FROM (" + strings.Join(all, " UNION ") + ") u ORDER BY u.position " + s.order + " LIMIT $3::bigint")
	}
	if known, ok := b.shapes.Load(s.text); ok {
		s.texts = known.(*statements) //nolint:forcetypeassert // nothing else is stored
		return s
	}
	s.texts = &statements{
		first: b.sql("SELECT h.head, " + columns + " FROM (SELECT coalesce(max(position), 0) AS head FROM @events) h LEFT JOIN LATERAL (" +
			strings.ReplaceAll(s.text, "BOUND", "least($2::bigint, h.head)") + ") e ON true"),
		next: b.sql("SELECT " + columns + " FROM (" + strings.ReplaceAll(s.text, "BOUND", "$2::bigint") + ") e"),
	}
	if len(items) <= 1 { // of which there are few
		b.shapes.Store(s.text, s.texts)
	}
	return s
}

// statement returns the SQL, with the head of its own snapshot in front of each event for the first chunk.
func (s *source) statement(first bool) string {
	if first {
		return s.texts.first
	}
	return s.texts.next
}

// part is an item, or several that a single look-up serves.
type part struct {
	eventstore.Item

	streams []string // in place of a Stream
}

// merge makes one of the items that name but types, and one of those that name but a stream.
func merge(items []eventstore.Item) []part {
	merged, types, streams := make([]part, 0, len(items)), -1, -1
	for _, it := range items {
		bare := it.Category == "" && len(it.Tags) == 0
		switch {
		case bare && it.Stream == "" && len(it.Types) > 0:
			if types < 0 {
				types, merged = len(merged), append(merged, part{})
			}
			merged[types].Types = append(merged[types].Types, it.Types...)
		case bare && it.Stream != "" && len(it.Types) == 0:
			if streams < 0 {
				streams, merged = len(merged), append(merged, part{})
			}
			merged[streams].streams = append(merged[streams].streams, string(it.Stream))
		default:
			merged = append(merged, part{Item: it})
		}
	}
	if streams >= 0 && len(merged[streams].streams) == 1 {
		merged[streams] = part{Item: eventstore.Item{Stream: eventstore.Stream(merged[streams].streams[0])}}
	}
	return merged
}

// item selects the first $3 events that match.
func (s *source) item(it *part) string {
	switch {
	case len(it.streams) > 0:
		return s.each("stream", it.streams, s.inStream("y.stream")+" ORDER BY e.version "+s.order+" LIMIT $3::bigint")
	case it.Stream != "":
		return s.stream(&it.Item)
	case len(it.Tags) > 0:
		return s.tags(&it.Item)
	case len(it.Types) == 1:
		return s.within("e.type", s.arg(it.Types[0]), s.category(&it.Item))
	case len(it.Types) > 1:
		return s.each("type", it.Types, s.within("e.type", "y.type", s.category(&it.Item)))
	case it.Category != "":
		return s.within("split_part(e.stream, '-', 1)", s.arg(it.Category), "")
	default:
		return "SELECT e.* FROM @events e WHERE e.position > $1::bigint AND e.position <= BOUND ORDER BY e.position " + s.order + " LIMIT $3::bigint"
	}
}

// within selects by what an index has before the position. Both are compared together: were the first said to be equal,
// the planner might walk along all positions instead, in the hope that what is wanted is spread evenly over the log.
func (s *source) within(what, value, and string) string {
	return "SELECT e.* FROM @events e WHERE (" + what + ", e.position) > (" + value + ", $1::bigint) AND (" + what + ", e.position) <= (" + value +
		", BOUND)" + and + " ORDER BY " + what + " " + s.order + ", e.position " + s.order + " LIMIT $3::bigint"
}

func (s *source) stream(it *eventstore.Item) string {
	text := s.inStream(s.arg(string(it.Stream))) + s.category(it)
	if len(it.Types) > 0 {
		text += " AND e.type = ANY (" + s.arg(it.Types) + "::text[])"
	}
	return text + s.tagged(it.Tags, "e.position") + " ORDER BY e.version " + s.order + " LIMIT $3::bigint"
}

// inStream selects by version, which is in the order of the log, too: from the last event that is not wanted.
func (s *source) inStream(stream string) string {
	return "SELECT e.* FROM @events e WHERE e.stream = " + stream +
		" AND e.version > CASE WHEN $1::bigint = 0 THEN 0 ELSE coalesce((SELECT b.version FROM @events b WHERE b.stream = " + stream +
		" AND b.position <= $1::bigint ORDER BY b.version DESC LIMIT 1), 0) END AND e.position <= BOUND"
}

// tags selects by the first tag, and looks at the others there.
func (s *source) tags(it *eventstore.Item) string {
	text := "SELECT e.* FROM @event_tags t JOIN @events e ON e.position = t.position WHERE t.tag = " + s.arg(it.Tags[0]) +
		" AND t.position > $1::bigint AND t.position <= BOUND" + s.category(it)
	if len(it.Types) > 0 {
		text += " AND t.type = ANY (" + s.arg(it.Types) + "::text[])"
	}
	return text + s.tagged(it.Tags[1:], "t.position") + " ORDER BY t.position " + s.order + " LIMIT $3::bigint"
}

// tagged is that the event at a position has all of the tags.
func (s *source) tagged(tags []string, position string) string {
	var text strings.Builder
	for _, tag := range tags {
		text.WriteString(" AND EXISTS (SELECT 1 FROM @event_tags o WHERE o.tag = " + s.arg(tag) + " AND o.position = " + position + ")")
	}
	return text.String()
}

// each takes the first of each value of y, and of these the first.
func (s *source) each(y string, values []string, first string) string {
	return s.at("SELECT f.position FROM (SELECT DISTINCT unnest(" + s.arg(values) + "::text[]) AS " + y + ") y CROSS JOIN LATERAL (" + first +
		") f ORDER BY f.position " + s.order + " LIMIT $3::bigint")
}

// at selects the events at positions, one by one. A join could be planned when the log is empty as a walk along all of it,
// and the plan is kept while the log grows.
func (s *source) at(positions string) string {
	return "SELECT e.* FROM (" + positions + ") p CROSS JOIN LATERAL (SELECT e.* FROM @events e WHERE e.position = p.position LIMIT 1) e" +
		" ORDER BY p.position " + s.order
}

func (s *source) category(it *eventstore.Item) string {
	if it.Category == "" {
		return ""
	}
	return " AND split_part(e.stream, '-', 1) = " + s.arg(it.Category)
}

func (s *source) arg(v any) string {
	s.args = append(s.args, v)
	if _, list := v.([]string); list {
		return fmt.Sprintf("$%d", len(s.args)+3)
	}
	return fmt.Sprintf("$%d::text", len(s.args)+3)
}

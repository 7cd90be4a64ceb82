package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/partition"
	"github.com/necrostack/necrostack/spine"
)

// Verify says how the rows of a view are verified. The zero Verify works.
type Verify struct {
	// Parts is in how many passes: each reads all events and all rows, and holds its part of the rows in memory, as they are
	// kept and as they are folded. Defaults to 1.
	Parts  int
	Most   int                                   // how many differences are told in full. Defaults to 1,000
	Report func(done, total eventstore.Position) // called now and then: how many positions are read, of all passes together
}

const (
	defaultMost  = 1000
	verifyReport = 4096 // events from one report to the next
)

// Verification is what came of verifying a view.
type Verification[Row any] struct {
	Compared    int                 // keys that have a row, or ought to have one, and are not in Parked
	Differing   int                 // how many of these are not as they ought to be
	Differences []Difference[Row]   // of the first Verify.Most that were found, sorted by key
	Parked      []string            // keys that were passed over: events that are parked are missing in their rows. Sorted
	Position    eventstore.Position // each row was compared as of this position, or a later one
}

// Difference is a row that is not what its events make.
type Difference[Row any] struct {
	Key      string
	Kept     *Row                // nil: there is none, or it cannot be read
	Folded   *Row                // nil: there ought to be none
	Err      error               // why the row that is kept cannot be read
	Position eventstore.Position // both are as of there
}

// Verify compares the rows of this version of a view with what folding the log anew makes, and tells which keys differ. It
// changes nothing, and is exact while the view goes on and others write: the rows of a pass are of one moment, and each is
// folded up to where its partition stood then. Its time grows with the log.
//
// Folds run as they are in this program. An event whose fold fails, or whose keys cannot be had, changes no row, as in the
// view; one that was discarded or skipped though it can be folded now is a difference.
func (v View[Row]) Verify(ctx context.Context, st *eventstore.Store, cfg Verify) (found Verification[Row], err error) {
	p, err := v.verifying(st, cfg, &found)
	for part := 0; err == nil && part < p.cfg.Parts; part++ {
		err = p.pass(ctx, part)
	}
	if err != nil {
		return found, fmt.Errorf("verify view %s: %w", v.Name, err)
	}
	slices.Sort(found.Parked)
	slices.SortFunc(found.Differences, func(a, b Difference[Row]) int { return cmp.Compare(a.Key, b.Key) })
	return found, nil
}

// verifying checks what is asked for.
func (v View[Row]) verifying(st *eventstore.Store, cfg Verify, found *Verification[Row]) (*verifying[Row], error) {
	var errs []error
	if cfg.Parts < 0 {
		errs = append(errs, invalid("parts", "are %d", cfg.Parts))
	}
	if cfg.Most < 0 {
		errs = append(errs, invalid("most", "is %d", cfg.Most))
	}
	cfg.Parts, cfg.Most = cmp.Or(cfg.Parts, 1), cmp.Or(cfg.Most, defaultMost)
	k, shaped := v.keeping()
	p := &verifying[Row]{keeping: k, store: st, cfg: cfg, found: found}
	var listens, kept error
	p.query, listens = v.listens()
	p.keeper, kept = keeperOf(st)
	return p, errors.Join(append(errs, shaped, listens, kept)...)
}

// verifying is a view that is verified, and what one pass knows.
type verifying[Row any] struct {
	keeping[Row]

	store *eventstore.Store
	query eventstore.Query
	cfg   Verify
	found *Verification[Row]

	part   int
	dump   eventstore.RowDump
	folded map[string][]any // the values of rows that there ought to be
}

// pass verifies one part of the keys.
func (p *verifying[Row]) pass(ctx context.Context, part int) (err error) {
	p.part, p.folded = part, map[string][]any{}
	p.dump = eventstore.RowDump{} // before the next is there
	if p.dump, err = p.keeper.DumpRows(ctx, p.set, p.mine); err != nil {
		return err
	}
	if err := p.replay(ctx); err != nil {
		return err
	}
	for key := range p.dump.Parked {
		if p.mine(key) && p.parked(key) {
			p.found.Parked = append(p.found.Parked, key)
		}
	}
	for _, r := range p.dump.Rows {
		p.compare(r.Key, r.Values, p.folded[r.Key])
		delete(p.folded, r.Key)
	}
	for key, values := range p.folded {
		p.compare(key, nil, values)
	}
	if least := p.least(); part == 0 || least < p.found.Position {
		p.found.Position = least
	}
	return nil
}

// mine reports whether a key belongs to the pass.
func (p *verifying[Row]) mine(key string) bool { return partition.Of(key, p.cfg.Parts) == p.part }

// stood is where a key's partition stood.
func (p *verifying[Row]) stood(key string) eventstore.Position {
	if n := len(p.dump.Partitions); n > 0 {
		return p.dump.Partitions[partition.Of(key, n)]
	}
	return 0
}

func (p *verifying[Row]) least() eventstore.Position {
	if len(p.dump.Partitions) == 0 {
		return 0
	}
	return slices.Min(p.dump.Partitions)
}

// parked reports whether events of a key were set aside. What has an entry but was not passed is being tried: the row is
// what it was before.
func (p *verifying[Row]) parked(key string) bool {
	first, is := p.dump.Parked[key]
	return is && first <= p.stood(key)
}

// replay folds the log, as far as the partition that had come farthest.
func (p *verifying[Row]) replay(ctx context.Context) error {
	if len(p.dump.Partitions) == 0 || slices.Max(p.dump.Partitions) == 0 {
		return nil
	}
	e, through := end{position: slices.Max(p.dump.Partitions)}, eventstore.Position(0)
	var parts []eventstore.Event // of one stored event
	count := 0
	for ev, err := range p.store.Read(ctx, p.query, eventstore.Range{UpTo: e.position, Through: &through}) {
		if err != nil {
			return err
		}
		if len(parts) > 0 && parts[0].Position != ev.Position {
			p.add(parts)
			parts = nil
		}
		parts = append(parts, ev)
		if count++; count%verifyReport == 0 {
			p.report(ev.Position, e.position)
		}
	}
	p.add(parts)
	p.report(e.position, e.position)
	return e.reached(through)
}

func (p *verifying[Row]) report(done, of eventstore.Position) {
	if p.cfg.Report != nil {
		p.cfg.Report(eventstore.Position(p.part)*of+done, eventstore.Position(p.cfg.Parts)*of)
	}
}

// add folds an event, or its parts, into each row that it is for by itself, by the rules of the view.
func (p *verifying[Row]) add(parts []eventstore.Event) {
	batches := map[string][]spine.Input{}
	for i := range parts {
		for _, key := range p.soundKeys(parts[i]) {
			if p.mine(key) && parts[i].Position <= p.stood(key) && !p.parked(key) {
				batches[key] = append(batches[key], spine.Input{Event: &parts[i], Keys: []string{key}})
			}
		}
	}
	for key, batch := range batches {
		rows, _, err := p.fold(map[string][]any{key: p.folded[key]}, batch)
		if err != nil {
			continue
		}
		for _, r := range rows {
			if p.folded[key] = r.Values; r.Values == nil {
				delete(p.folded, key)
			}
		}
	}
}

// compare compares the values that a key has with those that it ought to have; nil: no row.
func (p *verifying[Row]) compare(key string, kept, folded []any) {
	if p.parked(key) {
		return
	}
	p.found.Compared++
	d := Difference[Row]{Key: key, Position: p.stood(key)}
	var keptAs, foldedAs []any // in one form, whatever the backend does to JSON
	d.Kept, keptAs, d.Err = p.again(kept)
	d.Folded, foldedAs, _ = p.again(folded) // it was kept before
	same := d.Err == nil && (d.Kept == nil) == (d.Folded == nil)
	for i := 0; same && i < len(foldedAs); i++ {
		if p.set.Columns[i].Kind == eventstore.Int { // a number may be too great for its field
			keptAs[i] = kept[i]
		}
		same = reflect.DeepEqual(keptAs[i], foldedAs[i])
	}
	if same {
		return
	}
	if p.found.Differing++; len(p.found.Differences) < p.cfg.Most {
		p.found.Differences = append(p.found.Differences, d)
	}
}

// again makes a row of values, and values of the row.
func (p *verifying[Row]) again(values []any) (*Row, []any, error) {
	if values == nil {
		return nil, nil, nil
	}
	row := new(Row)
	err := p.shape.row(values, reflect.ValueOf(row).Elem())
	if err == nil {
		values, err = p.shape.values(reflect.ValueOf(row).Elem())
	}
	if err != nil {
		return nil, nil, err
	}
	return row, values, nil
}

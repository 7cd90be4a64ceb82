package eventstore

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Commit is the atomic unit of writing: everything in it happens, or nothing does. Sent again unchanged, it
// returns its first result and writes nothing; it is recognised by the ids of its events, else of its
// schedules, else by its checkpoints. Known events with a checkpoint or a schedule that was not made are
// another commit's: ErrIDReused. A commit that only acknowledges deliveries or takes entries back says
// ErrFenced when it is sent again: they are gone, as they should be.
type Commit struct {
	Appends     []Append     // what is added to the log, in this order
	Unless      []Condition  // each refuses the commit if an event matches
	Checkpoints []Checkpoint // how far consumers have come; each also proves the right to commit
	Deliveries  []Delivery   // events put into the window of a competing consumer; needs its checkpoint
	Acks        []Ack        // deliveries that are done
	Returns     []Return     // deliveries to be handed out again
	Parks       []Parked     // events set aside, or set aside anew; needs the checkpoint of their partition, or an Ack
	Unparks     []uuid.UUID  // parked entries taken back; refused with ErrFenced if one is gone already
	Redrives    []uuid.UUID  // parked entries to be tried again now; one that is gone is no error
	Schedules   []Schedule   // appends with a due time
	Cancels     []uuid.UUID  // schedules called off; one that has fired or never was is no error
}

// Append adds events to one stream. Of the events it takes ID, Type, Tags, Data and Metadata; the store
// gives the rest. Several appends of a commit may name one stream: each expectation is about the version
// before the commit.
type Append struct {
	Stream Stream
	Expect Expected
	Events []Event
}

// Checkpoint moves a consumer's partition. It is refused with ErrFenced unless Epoch is current and the
// partition stands at From. To may equal From: then it only proves the right to commit.
type Checkpoint struct {
	Consumer  string
	Partition int
	Epoch     int64
	From, To  Position
}

// Schedule is an append that the log makes by itself when it is due. It expects nothing of its stream, and
// its event ids are fixed when it is made. An ID is used once, for ever.
type Schedule struct {
	ID     uuid.UUID
	Due    time.Time // by the store's clock
	Append Append    // Expect must be Any
}

// Parked is an event that a consumer has set aside: an entry of its dead-letter queue. The entries of a key
// are a queue: the head is tried first, and while there is one, later events of the key are parked behind it.
type Parked struct {
	ID        uuid.UUID // parking an entry again replaces it, but for At
	Consumer  string
	Partition int       // whose owner has parked it
	Key       string    // what the event was handled for; later events of the key wait behind it
	Position  Position  // of the event
	Event     uuid.UUID // its id
	Attempts  int       // 0: never tried, it waits behind an earlier entry of its key
	Failures  []Failure // the last ones, oldest first
	Due       time.Time // when it is tried again; zero: not before it is redriven
	Redriven  bool      // it is to be tried again now; set by Commit.Redrives
	At        time.Time // when it was first parked; given by the store
}

// Delivery is an event in the window of a competing consumer, for one of its workers to handle.
type Delivery struct {
	ID       uuid.UUID // delivering the same again, while it is in the window, changes nothing
	Consumer string
	Position Position  // of the event
	Event    uuid.UUID // its id
	Attempt  int       // how often it was handed out; given by the store
	Failures []Failure // of those that returned it, oldest first; given by the store
}

// Ack says that a delivery is done. It is refused with ErrFenced unless the delivery is in the window, was last
// handed out as this attempt, and was not returned since.
type Ack struct {
	Consumer string
	ID       uuid.UUID
	Attempt  int
}

// Return puts a delivery back, to be handed out again when it is due. It is refused like an Ack.
type Return struct {
	Ack

	Due     time.Time
	Failure Failure // why
}

// Failure is one failed attempt.
type Failure struct {
	At    time.Time
	Error string // the chain of errors, shortened to 4 KiB
}

// Result is what a commit came to.
type Result struct {
	First    Position  // of its first event. Its events stand one behind the other
	Position Position  // of its last event; 0 if it appended none
	Versions []Version // of the stream after each append, in their order
}

// Version is the version of the last append's stream, or 0.
func (r Result) Version() Version {
	if len(r.Versions) == 0 {
		return 0
	}
	return r.Versions[len(r.Versions)-1]
}

// events counts the events that a commit appends at once.
func (c *Commit) events() (n int) {
	for i := range c.Appends {
		n += len(c.Appends[i].Events)
	}
	return n
}

// clone copies whatever of c a caller could still change.
func (c Commit) clone() Commit {
	c.Appends = cloneAppends(c.Appends)
	c.Unless = cloneEach(c.Unless, func(x Condition) Condition { return x })
	c.Checkpoints = cloneEach(c.Checkpoints, func(x Checkpoint) Checkpoint { return x })
	c.Deliveries = cloneEach(c.Deliveries, Delivery.Clone)
	c.Acks = cloneEach(c.Acks, func(x Ack) Ack { return x })
	c.Returns = cloneEach(c.Returns, func(x Return) Return { return x })
	c.Parks = cloneEach(c.Parks, Parked.Clone)
	c.Unparks = cloneEach(c.Unparks, func(x uuid.UUID) uuid.UUID { return x })
	c.Redrives = cloneEach(c.Redrives, func(x uuid.UUID) uuid.UUID { return x })
	c.Schedules = cloneEach(c.Schedules, Schedule.Clone)
	c.Cancels = cloneEach(c.Cancels, func(x uuid.UUID) uuid.UUID { return x })
	return c
}

// cloneAppends copies all events into one array, and all payloads into another.
func cloneAppends(from []Append) []Append {
	events, bytes := 0, 0
	for i := range from {
		events += len(from[i].Events)
		for k := range from[i].Events {
			bytes += len(from[i].Events[k].Data)
		}
	}
	if len(from) == 0 {
		return nil
	}
	to, all, data := make([]Append, len(from)), make([]Event, 0, events), make([]byte, 0, bytes)
	for i, a := range from {
		first := len(all)
		for k := range a.Events {
			all = append(all, a.Events[k])
			e := &all[len(all)-1]
			data = append(data, e.Data...)
			e.Data = data[len(data)-len(e.Data) : len(data) : len(data)]
			e.Tags, e.Metadata.User = slices.Clone(e.Tags), maps.Clone(e.Metadata.User)
		}
		a.Events = all[first:len(all):len(all)]
		to[i] = a
	}
	return to
}

// Clone returns a copy that shares no memory with s.
func (s Schedule) Clone() Schedule {
	s.Append = cloneAppends([]Append{s.Append})[0]
	return s
}

// Clone returns a copy that shares no memory with p.
func (p Parked) Clone() Parked {
	p.Failures = cloneEach(p.Failures, func(f Failure) Failure { return f })
	return p
}

// Clone returns a copy that shares no memory with d.
func (d Delivery) Clone() Delivery {
	d.Failures = cloneEach(d.Failures, func(f Failure) Failure { return f })
	return d
}

func cloneEach[T any](from []T, clone func(T) T) []T {
	if len(from) == 0 {
		return nil
	}
	to := make([]T, len(from))
	for i, x := range from {
		to[i] = clone(x)
	}
	return to
}

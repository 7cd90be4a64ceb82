//go:build unix

package postgres_test

import (
	"encoding/binary"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// held is how long a commit may take while another client is stopped.
const held = 5 * time.Second

// A client that is stopped by SIGSTOP after any message of a large commit, or within it, from the first of its
// connection on, holds nobody up; and when it goes on, its commit comes to its end.
func TestAClientStoppedAtAnyMessageHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := newStopped(t)
	large := order{Commits: 1, Events: 500, Bytes: 10_000, Fresh: true} // 5 MB
	whole := s.wire(math.MaxInt, false, true)
	s.proxy.HalfOpenWithin(testenv.ToServer, whole.inspect)
	s.client.tell(large)
	s.settle(large)
	s.proxy.Restore(t) // the wire is whole, and nobody writes to it any more
	t.Logf("a commit of 5 MB on a new connection is %d messages: the startup message, %s", whole.seen, whole.types)
	if whole.seen < 5 {
		t.Fatalf("that cannot be")
	}
	longest := time.Duration(0)
	for k := 1; k <= whole.seen; k++ {
		for _, half := range []bool{true, false} {
			at := s.wire(k, half, true)
			s.proxy.HalfOpenWithin(testenv.ToServer, at.inspect)
			s.client.tell(large)
			s.stop(at)
			took := s.others()
			if longest = max(longest, took); took > held {
				t.Errorf("stopped at message %d (half of it: %t), a client has held another up for %v", k, half, took)
			}
			s.goOn()
			s.settle(large)
		}
	}
	t.Logf("fault: SIGSTOP to a client, pid %d, after each of %d messages of its commit and within each; meanwhile a commit of another process, pid %d, took %v at most; "+
		"checked %d events, 0 skipped, 0 doubled, 0 inverted", s.client.pid(), whole.seen, s.other.pid(), longest, s.check())
}

// A client that is stopped when it has sent all, and never reads the answer, holds nobody up either, however large the
// answer is.
func TestAClientThatReadsNoAnswerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := newStopped(t)
	many := order{Commits: 1, Events: 25_000, Bytes: 1, Spread: true}
	few := order{Commits: 1, Events: 2, Spread: true}
	s.client.tell(few) // so that the connection stands, and its statements are prepared
	s.settle(few)
	alike := s.wire(math.MaxInt, false, false)
	s.proxy.HalfOpenWithin(testenv.ToServer, alike.inspect)
	s.client.tell(few)
	s.settle(few)
	s.proxy.Restore(t)
	s.proxy.Clog(testenv.ToClient)
	all := s.wire(alike.seen, false, false)
	s.proxy.HalfOpenWithin(testenv.ToServer, all.inspect)
	s.client.tell(many)
	s.stop(all)
	s.answered()
	took := s.others()
	if took > held {
		t.Errorf("a client that reads no answer has held another up for %v", took)
	}
	s.goOn()
	s.settle(many)
	t.Logf("fault: SIGSTOP to a client, pid %d, that has an answer to read; meanwhile a commit of another process, pid %d, took %v; "+
		"checked %d events, 0 skipped, 0 doubled, 0 inverted", s.client.pid(), s.other.pid(), took, s.check())
}

// stopped is a client behind a proxy, which is to be stopped, and another one that is not.
type stopped struct {
	*testing.T
	proxy         *testenv.Proxy
	dsn           string
	store         *eventstore.Store
	client, other *child
	events        int // that were ordered
}

func newStopped(t *testing.T) *stopped {
	t.Helper()
	server := testenv.Postgres(t)
	dsn := server.Database(t)
	s := &stopped{T: t, proxy: testenv.NewProxy(t, server.Addr()), dsn: dsn, store: openStore(t, dsn)}
	s.client, s.other = spawn(t, "committer", s.proxy.DSN(t, dsn)), spawn(t, "committer", dsn)
	for _, c := range []*child{s.client, s.other} {
		var ready string
		c.must(&ready)
	}
	return s
}

// wire follows the next new connection of the client, or the one that it has.
func (s *stopped) wire(stop int, half, fresh bool) *wire {
	w := &wire{conn: s.proxy.Connections(), fresh: fresh, stop: stop, half: half, reached: make(chan struct{})}
	if fresh {
		w.conn++
	}
	return w
}

// stop stops the client where it has come to on the wire, and returns when it stands still.
func (s *stopped) stop(at *wire) {
	s.Helper()
	select {
	case <-at.reached:
	case <-time.After(patience):
		s.Fatalf("message %d never came", at.stop)
	}
	if err := syscall.Kill(s.client.pid(), syscall.SIGSTOP); err != nil {
		s.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.client.pid(), &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		s.Fatalf("process %d was not stopped: %v, %v", s.client.pid(), status, err)
	}
}

// answered returns when the server has committed what was ordered, or has come to a write that waits for the client.
func (s *stopped) answered() {
	s.Helper()
	conn := connection(s.T, s.dsn)
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(5 * time.Millisecond) {
		var blocked bool
		if err := conn.QueryRow(s.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'ClientWrite')`).Scan(&blocked); err != nil {
			s.Fatal(err)
		}
		head, err := s.store.Head(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		if blocked || int(head) > s.events {
			s.Logf("the server waits for the client: %t; what was ordered is in the log: %t", blocked, int(head) > s.events)
			return
		}
	}
	s.Fatal("the server does not answer")
}

// goOn lets the client go on, and the network pass everything.
func (s *stopped) goOn() {
	s.Helper()
	if err := syscall.Kill(s.client.pid(), syscall.SIGCONT); err != nil {
		s.Fatal(err)
	}
	s.proxy.Restore(s.T)
}

// others has the other process commit, and returns how long that took.
func (s *stopped) others() time.Duration {
	s.Helper()
	small, done := order{Commits: 1, Events: 3, Bytes: 10}, make(chan outcome, 1)
	begun := time.Now()
	s.other.tell(small)
	go func() {
		var o outcome
		s.other.hear(&o)
		done <- o
	}()
	select {
	case o := <-done:
		if o.Fault != "" || len(o.Lasts) == 0 {
			s.Errorf("while a client is stopped, a commit fails: %+v", o)
		}
	case <-time.After(4 * held):
		s.goOn()
		s.Fatalf("while a client is stopped, nobody else commits for %v", 4*held)
	}
	s.events += small.Events
	return time.Since(begun)
}

// settle waits for the client's commits, which must have succeeded.
func (s *stopped) settle(ordered order) {
	s.Helper()
	var o outcome
	s.client.must(&o)
	if o.Fault != "" {
		s.Errorf("the client was stopped and went on, and its commit failed: %s", o.Fault)
	}
	s.events += ordered.Commits * ordered.Events
}

// check looks at every position and version, and returns how many events there are.
func (s *stopped) check() int {
	s.Helper()
	var r record
	for e, err := range s.store.Read(s.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			s.Fatal(err)
		}
		r.log = append(r.log, e)
	}
	v := &verdict{}
	r.checkLog(v)
	if len(v.faults) > 0 || len(r.log) != s.events {
		s.Errorf("%d events of %d: %v", len(r.log), s.events, v.faults)
	}
	return len(r.log)
}

// A wire follows the messages of a client on one connection, and stops after one of them, or in its middle. See
// https://www.postgresql.org/docs/current/protocol-message-formats.html.
type wire struct {
	conn    int  // the number of the connection
	fresh   bool // it begins with the startup message, which has no type
	stop    int  // the number of the message
	half    bool
	reached chan struct{} // closed when it has come that far

	header []byte // of the present message, as far as it has come
	body   int    // its bytes after the header
	left   int    // those that have not come
	seen   int    // whole messages
	types  []byte // of those that have one
	over   bool
}

func (w *wire) inspect(conn int, chunk []byte) (pass int) {
	if conn != w.conn {
		return len(chunk)
	}
	for !w.over && pass < len(chunk) {
		pass += w.take(chunk[pass:])
	}
	return pass
}

// take takes the next bytes of a message: those of its header one by one.
func (w *wire) take(chunk []byte) (n int) {
	size := 5 // a type, and the length of what follows, itself included
	if w.fresh && w.seen == 0 {
		size = 4
	}
	end := 0 // how much is left where it is to stop
	if w.half && w.seen+1 == w.stop {
		end = w.body / 2
	}
	if len(w.header) < size {
		w.header = append(w.header, chunk[0])
		if n = 1; len(w.header) < size {
			return n
		}
		if size == 5 {
			w.types = append(w.types, w.header[0])
		}
		w.body = int(binary.BigEndian.Uint32(w.header[size-4:])) - 4
		w.left = w.body
	} else {
		n = min(len(chunk), w.left-end)
		w.left -= n
	}
	if w.half && w.seen+1 == w.stop && w.left == w.body/2 {
		w.over = true
	}
	if w.left == 0 {
		w.seen, w.header = w.seen+1, w.header[:0]
		w.over = w.over || w.seen == w.stop
	}
	if w.over {
		close(w.reached)
	}
	return n
}

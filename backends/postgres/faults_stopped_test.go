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
	large := order{Commits: 1, Events: 500, Bytes: 10_000} // 5 MB
	messages := s.measure(large)
	longest := time.Duration(0)
	for k := 1; k <= messages; k++ {
		for _, half := range []bool{true, false} {
			s.order(s.client, large)
			s.order(s.other, small)
			at := s.begin(k, half)
			s.stop(at)
			s.arrive(at)
			took := s.others()
			if longest = max(longest, took); took > held {
				t.Errorf("stopped at message %d (half of it: %t), %q, a client has held another up for %v or more", k, half, at.types, took)
			}
			s.goOn()
			s.settle()
		}
	}
	t.Logf("fault: SIGSTOP to a client, pid %d, after each of %d messages of its commit and within each; meanwhile a commit of another process, pid %d, took %v at most; "+
		"%v", s.client.pid(), messages, s.other.pid(), longest, s.check())
}

// A client that is stopped when it has sent all, and never reads the answer, holds nobody up either, however large the
// answer is.
func TestAClientThatReadsNoAnswerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := newStopped(t)
	many := order{Commits: 1, Events: 25_000, Bytes: 40, Spread: true}
	messages := s.measure(many)
	s.order(s.client, many)
	s.order(s.other, small)
	s.stop(s.begin(messages, false))
	s.proxy.Clog(testenv.ToClient)
	s.answered()
	took := s.others()
	if took > held {
		t.Errorf("a client that reads no answer has held another up for %v", took)
	}
	s.goOn()
	s.settle()
	t.Logf("fault: SIGSTOP to a client, pid %d, that has an answer to read; meanwhile a commit of another process, pid %d, took %v; "+
		"%v", s.client.pid(), s.other.pid(), took, s.check())
}

// stopped is a client behind a proxy, which is to be stopped, and another one that is not.
type stopped struct {
	*testing.T
	proxy         *testenv.Proxy
	dsn           string
	store         *eventstore.Store
	client, other *child
	ordered       order // of the client
	events        int   // that were committed
}

func newStopped(t *testing.T) *stopped {
	t.Helper()
	server := testenv.Postgres(t)
	dsn := server.Database(t)
	s := &stopped{T: t, proxy: testenv.NewProxy(t, server.Addr()), dsn: dsn, store: openStore(t, dsn)}
	s.client, s.other = spawn(t, "committer", s.proxy.DSN(t, dsn)+"&application_name="+stoppedName), spawn(t, "committer", dsn)
	return s
}

// measure has the client commit what is ordered, undisturbed, and returns the messages that takes: up to the one that
// ends what carries the events.
func (s *stopped) measure(o order) int {
	s.Helper()
	s.order(s.client, o)
	whole := s.begin(math.MaxInt, false)
	s.settle()
	s.proxy.Restore(s.T) // nobody writes to the wire any more
	s.Logf("on a new connection, the commit is %d messages: the startup message, %s", whole.end, whole.types[:max(0, whole.end-1)])
	if whole.end < 5 {
		s.Fatal("that cannot be")
	}
	return whole.end
}

// order has a process open its store, so that all that comes is about its commit.
func (s *stopped) order(c *child, o order) {
	s.Helper()
	if c == s.client {
		s.ordered = o
	}
	var ready string
	c.tell(o)
	c.must(&ready)
}

// small is what the other process commits meanwhile.
var small = order{Commits: 1, Events: 3, Bytes: 10}

// begin has the client begin its commit, on a new connection, with a wire that stops it.
func (s *stopped) begin(stop int, half bool) *wire {
	s.Helper()
	w := &wire{conn: s.proxy.Connections() + 1, stop: stop, half: half, reached: make(chan struct{})}
	w.held = s.proxy.HalfOpenWithin(testenv.ToServer, w.inspect)
	s.client.tell("begin")
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

// arrive returns when the server has done what it can with what has come through, and waits for the rest.
func (s *stopped) arrive(at *wire) {
	s.Helper()
	select {
	case <-at.held: // all before it was sent on
	case <-time.After(100 * time.Millisecond): // the client has nothing to send before it hears from the server
	}
	conn := connection(s.T, s.dsn)
	for looks := 0; looks < 5; looks++ {
		var busy bool
		if err := conn.QueryRow(s.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE application_name = $1 AND datname = current_database() AND wait_event IS DISTINCT FROM 'ClientRead')`, stoppedName).Scan(&busy); err != nil {
			s.Fatal(err)
		}
		if busy {
			looks = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := conn.Close(s.Context()); err != nil {
		s.Error(err)
	}
}

// stoppedName is how the server knows the client.
const stoppedName = "stopped"

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

// others has the other process commit, and returns how long that took, or was waited for before the client went on.
func (s *stopped) others() time.Duration {
	s.Helper()
	done, begun := make(chan outcome, 1), time.Now()
	s.other.tell("begin")
	go func() {
		var o outcome
		s.other.hear(&o)
		done <- o
	}()
	var o outcome
	var took time.Duration
	select {
	case o = <-done:
		took = time.Since(begun)
	case <-time.After(held + time.Second):
		took = time.Since(begun)
		s.goOn()
		o = <-done
	}
	if o.Fault != "" || len(o.Lasts) == 0 {
		s.Errorf("while a client is stopped, a commit fails: %+v", o)
	}
	s.events += small.Events
	return took
}

// settle waits for the client's commits, which must have succeeded.
func (s *stopped) settle() {
	s.Helper()
	var o outcome
	s.client.must(&o)
	if o.Fault != "" {
		s.Errorf("the client was stopped and went on, and its commit failed: %s", o.Fault)
	}
	s.events += s.ordered.Commits * s.ordered.Events
}

// check looks at the whole log, which must hold what was ordered.
func (s *stopped) check() *verdict {
	s.Helper()
	v := checkStore(s.T, s.store)
	if v.events != s.events {
		s.Errorf("the log holds %d events, and %d were ordered", v.events, s.events)
	}
	return v
}

// A wire follows the messages of a client on one new connection, and stops after one of them, or in its middle. See
// https://www.postgresql.org/docs/current/protocol-message-formats.html.
type wire struct {
	conn    int // the number of the connection
	stop    int // the number of the message
	half    bool
	reached chan struct{}   // closed when it has come that far
	held    <-chan struct{} // closed when that was sent on, and more has come

	header []byte // of the present message, as far as it has come
	body   int    // its bytes after the header
	left   int    // those that have not come
	seen   int    // whole messages
	types  []byte // of them, but for the startup message, which is the first and has none
	large  bool   // one has come that carries many events
	end    int    // the number of the first message from it on after which the server commits: Sync, or FunctionCall
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
	if w.seen == 0 {
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
		w.seen++
		w.large = w.large || w.body > 1<<19
		if w.large && w.end == 0 && (w.header[0] == 'S' || w.header[0] == 'F') {
			w.end = w.seen
		}
		w.header = w.header[:0]
		w.over = w.over || w.seen == w.stop
	}
	if w.over {
		close(w.reached)
	}
	return n
}

package testenv

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// A Way is a direction in which bytes go through a Proxy.
type Way int

// The directions.
const (
	ToServer Way = iota
	ToClient
)

// A Proxy is the network between clients and a server. It passes everything on until it is told to fail. It is safe
// for concurrent use.
type Proxy struct {
	addr, server string

	mu          sync.Mutex
	listener    net.Listener // nil while cut
	links       map[*link]bool
	connections int // there have been so many
	delay       time.Duration
	ways        [2]way         // by Way
	running     sync.WaitGroup // whatever goroutine there is
}

// A way is what happens to the bytes of one direction. Each channel is closed when what it is named after holds.
type way struct {
	open    chan struct{} // bytes pass
	held    chan struct{} // some were held back since they last passed
	read    chan struct{} // bytes are taken from whoever sends them
	inspect Inspect       // how much of what comes next passes before they do not; nil: all
}

// NewProxy returns a proxy in front of the server at addr, as Server.Addr returns it. It is gone when the test ends.
func NewProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	port, err := launch.FreePort(tb.Context())
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	p := &Proxy{addr: "127.0.0.1:" + port, server: addr, links: map[*link]bool{}}
	for i := range p.ways {
		p.ways[i] = way{open: make(chan struct{}), held: make(chan struct{}), read: make(chan struct{})}
	}
	p.Restore(tb)
	tb.Cleanup(func() {
		p.Cut()
		p.running.Wait()
	})
	return p
}

// Addr returns where the proxy listens, host:port. It stays the same.
func (p *Proxy) Addr() string { return p.addr }

// DSN returns a server's DSN with the proxy's address in place of the server's.
func (p *Proxy) DSN(tb testing.TB, dsn string) string {
	tb.Helper()
	through, err := launch.Redirect(dsn, p.addr)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return through
}

// Cut closes all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close() //nolint:errcheck // it listens no more, whatever else
		p.listener = nil
	}
	for link := range p.links {
		link.close()
	}
}

// Delay has all bytes that come from now on arrive d later, each way. It takes nothing from the throughput.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// HalfOpen stops the bytes of one direction, the end of a connection included, while connections stay open and new ones
// are accepted. What is held back arrives after Restore, as it does when a network heals. The channel is closed when
// there is something that is held back.
func (p *Proxy) HalfOpen(stopped Way) (held <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &p.ways[stopped]
	w.stop()
	return w.held
}

// Inspect sees each chunk of a direction's bytes, in turn, with the number of its connection: 1 for the first that the
// proxy ever had, and so on. It returns how many of the bytes pass; with the first that do not it has served. It must not
// call the proxy.
type Inspect func(conn int, chunk []byte) (pass int)

// HalfOpenWithin is HalfOpen from some byte on, which inspect finds. The channel is closed when all that passes has been
// sent on, and something else is held back.
func (p *Proxy) HalfOpenWithin(stopped Way, inspect Inspect) (held <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &p.ways[stopped]
	w.inspect = inspect
	return w.held
}

// Connections returns how many there have been so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connections
}

// Clog stops taking the bytes of one direction from whoever sends them, as a peer does that never reads: when the
// systems' buffers are full, its writes block. What it still could send arrives after Restore.
func (p *Proxy) Clog(clogged Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := &p.ways[clogged]; isClosed(w.read) {
		w.read = make(chan struct{})
	}
}

// stop holds bytes back from now on. The caller holds the lock.
func (w *way) stop() {
	if isClosed(w.open) {
		w.open = make(chan struct{})
	}
}

// pass ends whatever stops bytes. The caller holds the lock.
func (w *way) pass() {
	for _, signal := range []chan struct{}{w.open, w.read} {
		if !isClosed(signal) {
			close(signal)
		}
	}
	w.inspect = nil
	if isClosed(w.held) {
		w.held = make(chan struct{})
	}
}

func isClosed(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}

// Resume ends what stops the bytes of one direction, and nothing else.
func (p *Proxy) Resume(stopped Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways[stopped].pass()
}

// Restore ends all faults. Connections that were cut are not made anew.
func (p *Proxy) Restore(tb testing.TB) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = 0
	for i := range p.ways {
		p.ways[i].pass()
	}
	if p.listener != nil {
		return
	}
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", p.addr)
	if err != nil {
		tb.Fatalf("testenv: restoring the network: %v", err)
	}
	p.listener = listener
	p.running.Go(func() { p.accept(listener) })
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // it was cut
		}
		p.running.Go(func() { p.connect(client) })
	}
}

// connect connects a client to the server, unless the network was cut meanwhile.
func (p *Proxy) connect(client net.Conn) {
	network := "tcp"
	if strings.HasPrefix(p.server, "/") {
		network = "unix"
	}
	server, err := net.DialTimeout(network, p.server, 10*time.Second) //nolint:noctx // no call waits for it
	if err != nil {
		client.Close() //nolint:errcheck // the client learns what there is to know
		return
	}
	link := &link{ends: [2]net.Conn{ToServer: server, ToClient: client}, closed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		link.close()
		return
	}
	p.connections++
	link.number = p.connections
	p.links[link] = true
	p.running.Go(func() { p.pass(link, client, ToServer) })
	p.running.Go(func() { p.pass(link, server, ToClient) })
}

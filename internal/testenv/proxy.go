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

	mu       sync.Mutex
	listener net.Listener // nil while cut
	links    map[*link]bool
	delay    time.Duration
	open     [2]chan struct{} // by Way, closed while bytes pass
	running  sync.WaitGroup   // whatever goroutine there is
}

// NewProxy returns a proxy in front of the server at addr, as Server.Addr returns it. It is gone when the test ends.
func NewProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	port, err := launch.FreePort(tb.Context())
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	p := &Proxy{addr: "127.0.0.1:" + port, server: addr, links: map[*link]bool{}}
	for way := range p.open {
		p.open[way] = make(chan struct{})
		close(p.open[way])
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
// are accepted. What is held back arrives after Restore, as it does when a network heals.
func (p *Proxy) HalfOpen(stopped Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passes(stopped) {
		p.open[stopped] = make(chan struct{})
	}
}

// Restore ends all faults. Connections that were cut are not made anew.
func (p *Proxy) Restore(tb testing.TB) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = 0
	for way := range p.open {
		if !p.passes(Way(way)) {
			close(p.open[way])
		}
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

// passes reports whether bytes pass. The caller holds the lock.
func (p *Proxy) passes(way Way) bool {
	select {
	case <-p.open[way]:
		return true
	default:
		return false
	}
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
	p.links[link] = true
	p.running.Go(func() { p.pass(link, client, ToServer) })
	p.running.Go(func() { p.pass(link, server, ToClient) })
}

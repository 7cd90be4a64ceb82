package testenv

import (
	"net"
	"sync"
	"time"
)

// A link is a connection through a Proxy.
type link struct {
	number int
	ends   [2]net.Conn // by the Way of what is written to them
	once   sync.Once
	closed chan struct{}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		for _, end := range l.ends {
			end.Close() //nolint:errcheck // it is of no use any more
		}
	})
}

// A chunk is bytes on their way.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pass takes bytes one way until their source ends; then the link ends too, when all that came before has arrived.
func (p *Proxy) pass(link *link, from net.Conn, way Way) {
	chunks := make(chan chunk, 1024)
	p.running.Go(func() {
		defer p.forget(link)
		for chunk := range chunks {
			if !p.arrive(link, chunk, way) {
				return
			}
		}
		p.arrive(link, chunk{}, way) // the end
	})
	defer close(chunks)
	for p.reads(link, way) {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			due := time.Now().Add(p.delay)
			p.mu.Unlock()
			select {
			case chunks <- chunk{buffer[:n], due}:
			case <-link.closed:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// reads waits until bytes are taken, and reports whether they were before the link was closed.
func (p *Proxy) reads(link *link, way Way) bool {
	p.mu.Lock()
	read := p.ways[way].read
	p.mu.Unlock()
	select {
	case <-read:
		return true
	case <-link.closed:
		return false
	}
}

// arrive writes a chunk when it is due and bytes pass, and reports whether it did before the link was closed.
func (p *Proxy) arrive(link *link, chunk chunk, way Way) bool {
	select {
	case <-time.After(time.Until(chunk.due)):
	case <-link.closed:
		return false
	}
	for rest := chunk.bytes; ; {
		pass, open := p.admit(link.number, rest, way)
		if _, err := link.ends[way].Write(rest[:pass]); err != nil {
			return false
		}
		if open == nil {
			return true
		}
		rest = rest[pass:]
		p.hold(way)
		select {
		case <-open:
		case <-link.closed:
			return false
		}
	}
}

// admit returns how many bytes pass, and what the others wait for; nil if there are none.
func (p *Proxy) admit(conn int, bytes []byte, way Way) (pass int, open <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &p.ways[way]
	if !isClosed(w.open) {
		return 0, w.open
	}
	if w.inspect == nil || len(bytes) == 0 {
		return len(bytes), nil
	}
	if pass = w.inspect(conn, bytes); pass == len(bytes) {
		return pass, nil
	}
	w.inspect = nil
	w.stop()
	return pass, w.open
}

// hold says that something is held back, unless all passes again.
func (p *Proxy) hold(way Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := &p.ways[way]; !isClosed(w.open) && !isClosed(w.held) {
		close(w.held)
	}
}

// forget closes a link and drops it.
func (p *Proxy) forget(link *link) {
	link.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, link)
}

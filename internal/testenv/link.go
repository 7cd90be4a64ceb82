package testenv

import (
	"net"
	"sync"
	"time"
)

// A link is a connection through a Proxy.
type link struct {
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
	for {
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

// arrive writes a chunk when it is due and bytes pass, and reports whether it did before the link was closed.
func (p *Proxy) arrive(link *link, chunk chunk, way Way) bool {
	select {
	case <-time.After(time.Until(chunk.due)):
	case <-link.closed:
		return false
	}
	p.mu.Lock()
	open := p.open[way]
	p.mu.Unlock()
	select {
	case <-open:
	case <-link.closed:
		return false
	}
	_, err := link.ends[way].Write(chunk.bytes)
	return err == nil
}

// forget closes a link and drops it.
func (p *Proxy) forget(link *link) {
	link.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, link)
}

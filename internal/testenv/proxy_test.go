package testenv_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/necrostack/necrostack/internal/testenv"
)

const (
	// soon is more than a byte takes over loopback, and late more than enough.
	soon = 100 * time.Millisecond
	late = 10 * time.Second
)

func TestAProxyPassesEverythingOn(t *testing.T) {
	t.Parallel()
	proxy := testenv.NewProxy(t, echo(t))
	conn := dial(t, proxy)
	go func() { conn.Write(make([]byte, 4<<20)) }() //nolint:errcheck // the other side counts
	if _, err := io.CopyN(io.Discard, conn, 4<<20); err != nil {
		t.Error(err)
	}
	conn.Close()
}

func TestACutProxyClosesAndRefusesConnections(t *testing.T) {
	t.Parallel()
	proxy := testenv.NewProxy(t, echo(t))
	conn := dial(t, proxy)
	say(t, conn, "a")
	hear(t, conn, "a")
	proxy.Cut()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("the connection is open: %d bytes", n)
	}
	if _, err := net.DialTimeout("tcp", proxy.Addr(), late); err == nil { //nolint:noctx // it has a limit
		t.Error("a new connection was accepted")
	}
	proxy.Restore(t)
	restored := dial(t, proxy)
	say(t, restored, "b")
	hear(t, restored, "b")
}

func TestADelayedProxyDelaysEachWay(t *testing.T) {
	t.Parallel()
	proxy := testenv.NewProxy(t, echo(t))
	conn := dial(t, proxy)
	const delay = 150 * time.Millisecond
	proxy.Delay(delay)
	begin := time.Now()
	for _, byte := range "abcde" { // all on their way at once
		say(t, conn, string(byte))
		time.Sleep(5 * time.Millisecond) // so that they are several chunks
	}
	hear(t, conn, "abcde")
	if took := time.Since(begin); took < 2*delay || took > 4*delay {
		t.Errorf("there and back took %v, want a bit more than %v", took, 2*delay)
	}
	proxy.Restore(t)
	begin = time.Now()
	say(t, conn, "f")
	hear(t, conn, "f")
	if took := time.Since(begin); took > delay {
		t.Errorf("still delayed: %v", took)
	}
}

func TestAHalfOpenProxyStopsOneWayOnly(t *testing.T) {
	t.Parallel()
	for name, stopped := range map[string]testenv.Way{"to the server": testenv.ToServer, "to the client": testenv.ToClient} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 10)
			proxy := testenv.NewProxy(t, serve(t, func(conn net.Conn) {
				conn.Write([]byte("x")) //nolint:errcheck // the client finds out
				buffer := make([]byte, 1)
				for {
					if _, err := conn.Read(buffer); err != nil {
						return
					}
					heard <- string(buffer)
				}
			}))
			anyHeld := proxy.HalfOpen(stopped)
			conn := dial(t, proxy)
			say(t, conn, "y")
			<-anyHeld
			toServer := func(limit time.Duration) bool {
				select {
				case <-heard:
					return true
				case <-time.After(limit):
					return false
				}
			}
			toClient := func(limit time.Duration) bool {
				conn.SetReadDeadline(time.Now().Add(limit)) //nolint:errcheck // the read tells
				_, err := conn.Read(make([]byte, 1))
				return err == nil
			}
			passing, held := toClient, toServer
			if stopped == testenv.ToClient {
				passing, held = toServer, toClient
			}
			if !passing(late) {
				t.Error("the other way is stopped, too")
			}
			if held(soon) {
				t.Error("it still passes")
			}
			proxy.Restore(t)
			if !held(late) {
				t.Error("what was held back never arrived")
			}
		})
	}
}

func TestAHalfOpenProxyStopsAtAByte(t *testing.T) {
	t.Parallel()
	proxy := testenv.NewProxy(t, echo(t))
	conn := dial(t, proxy)
	left := 5
	held := proxy.HalfOpenWithin(testenv.ToServer, func(conn int, chunk []byte) int {
		if conn != 1 {
			t.Errorf("connection %d, want 1", conn)
		}
		pass := min(left, len(chunk))
		left -= pass
		return pass
	})
	say(t, conn, "abc")
	hear(t, conn, "abc")
	select {
	case <-held:
		t.Error("something is held back before the byte has come")
	default:
	}
	say(t, conn, "defgh")
	hear(t, conn, "de")
	<-held
	conn.SetReadDeadline(time.Now().Add(soon)) //nolint:errcheck // the read tells
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("more than that has passed")
	}
	proxy.HalfOpen(testenv.ToClient)
	proxy.Resume(testenv.ToServer)
	conn.SetReadDeadline(time.Now().Add(soon)) //nolint:errcheck // the read tells
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the other direction has resumed, too")
	}
	proxy.Resume(testenv.ToClient)
	hear(t, conn, "fgh")
	say(t, conn, "i")
	hear(t, conn, "i")
	if n := proxy.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAWriterBlocksOnACloggedProxy(t *testing.T) {
	t.Parallel()
	proxy := testenv.NewProxy(t, echo(t))
	conn := dial(t, proxy)
	say(t, conn, "a")
	hear(t, conn, "a") // so that the proxy has connected
	proxy.Clog(testenv.ToServer)
	const all = 64 << 20                            // more than any system buffers
	conn.SetWriteDeadline(time.Now().Add(2 * soon)) //nolint:errcheck // the write tells
	sent, err := conn.Write(make([]byte, all))
	if err == nil {
		t.Fatal("the write did not block")
	}
	proxy.Restore(t)
	conn.SetReadDeadline(time.Now().Add(late)) //nolint:errcheck // the read tells
	if _, err := io.CopyN(io.Discard, conn, int64(sent)); err != nil {
		t.Error(err)
	}
}

func TestAServerIsReachedThroughAProxy(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	proxy := testenv.NewProxy(t, server.Addr())
	conn := connect(t, proxy.DSN(t, server.DSN()))
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.HalfOpen(testenv.ToClient)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := conn.Ping(ctx); err == nil {
		t.Error("an answer came through")
	}
	proxy.Cut()
	if _, err := pgx.Connect(t.Context(), proxy.DSN(t, server.DSN())); err == nil {
		t.Error("a connection came through")
	}
	proxy.Restore(t)
	connect(t, proxy.DSN(t, server.DSN()))
}

func TestAProxyWithoutItsServerClosesConnections(t *testing.T) {
	t.Parallel()
	conn := dial(t, testenv.NewProxy(t, "127.0.0.1:1"))
	conn.SetReadDeadline(time.Now().Add(late))               //nolint:errcheck // the read tells
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // a net.Conn returns it bare
		t.Errorf("%v, want the end", err)
	}
}

// echo returns the address of a server that says what it hears.
func echo(t *testing.T) string {
	t.Helper()
	return serve(t, func(conn net.Conn) { io.Copy(conn, conn) }) //nolint:errcheck // the client finds out
}

func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, proxy *testenv.Proxy) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", proxy.Addr(), late) //nolint:noctx // it has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(late)) //nolint:errcheck // the read tells
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

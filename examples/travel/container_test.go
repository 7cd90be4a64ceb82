package main

import (
	"context"
	"crypto/rand"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" of wait.ForSQL
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/examples/travel/service"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// These are the tests to copy for a saga of your own: a real server in a container, services as processes, and SIGKILL in
// mid-saga. docs/testing.md says why each part is as it is.

// postgres starts PostgreSQL in a container of this test, and returns its address. Without Docker, it is the server that the
// environment names, or one of this machine.
func postgres(t *testing.T) string {
	t.Helper()
	product := launch.Postgres()
	image, err := launch.Image(t.Context(), product, t.Logf) // where there is a registry: "postgres:17"
	if err != nil {
		t.Logf("no container: %v", err)
		return testenv.Postgres(t).DSN()
	}
	port, password := product.Container.Port, rand.Text()
	address := func(host string, port network.Port) string {
		return product.DSN(net.JoinHostPort(host, strconv.Itoa(int(port.Num()))), password)
	}
	server, err := testcontainers.Run(t.Context(), image,
		testcontainers.WithEnv(product.Container.Env(password)),
		testcontainers.WithCmd(product.Container.Command...),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithWaitStrategy(wait.ForSQL(port, "pgx", address).WithStartupTimeout(2*time.Minute)),
	)
	testcontainers.CleanupContainer(t, server)
	if err != nil {
		t.Fatal(err)
	}
	release, err := launch.RemoveOrphan(server.GetContainerID()) // where there is a registry, testcontainers sees to that
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	host, err := server.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := server.MappedPort(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("PostgreSQL in container %.12s", server.GetContainerID())
	return address(host, mapped)
}

// database creates an empty database, so that no case meets what another one has left.
func database(t *testing.T, server string) string {
	t.Helper()
	product, name := launch.Postgres(), "travel_"+strings.ToLower(rand.Text())
	dsn, err := product.Create(t.Context(), server, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := product.Drop(context.WithoutCancel(t.Context()), server, name); err != nil {
			t.Error(err)
		}
	})
	return dsn
}

// world is what a trip needs: a log, and the services, each a process of its own with its books in that log.
type world struct {
	dsn      string
	store    *eventstore.Store // to look at the log
	services map[string]*killtest.Process
	at       map[string]string // their addresses
}

// begin starts the services, with faults that some of them have, each as the flag for it.
func begin(t *testing.T, dsn string, faults map[string]string) *world {
	t.Helper()
	store, err := backends.Open(t.Context(), dsn, eventstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{dsn: dsn, store: store, services: map[string]*killtest.Process{}, at: map[string]string{}}
	for _, name := range service.Names() {
		w.serve(t, name, faults[name])
	}
	return w
}

// serve starts a service, at the address that it had before.
func (w *world) serve(t *testing.T, name, fault string) {
	t.Helper()
	args := []string{"-service", name, "-store", w.dsn}
	if fault != "" {
		args = append(args, fault, name)
	}
	if at := w.at[name]; at != "" {
		args = append(args, "-listen", strings.TrimPrefix(at, "http://"))
	}
	w.services[name] = killtest.Start(t, args...)
	line := w.services[name].Line(t)
	t.Log(line)
	_, rest, _ := strings.Cut(line, " listens at ")
	w.at[name], _, _ = strings.Cut(rest, ",")
}

// book starts a process that books the trip, or goes on with it.
func (w *world) book(t *testing.T) *killtest.Process {
	t.Helper()
	var at []string
	for name, address := range w.at {
		at = append(at, name+"="+address)
	}
	return killtest.Start(t, "-json", "-store", w.dsn, "-services", strings.Join(at, ","), "-patience", "10s")
}

// written waits until a service has something in its books, and the process that leads to it has not ended before.
func (w *world) written(t *testing.T, name, typ string, p *killtest.Process) {
	t.Helper()
	for !slices.Contains(w.books(t, name), typ) {
		select {
		case <-p.Ended():
			t.Fatalf("%s has no %q, and the process has ended: %+v", name, typ, p.Wait(t))
		case <-time.After(time.Millisecond): // nothing announces what another process has written
		}
	}
}

// books are the types of the events in a service's books.
func (w *world) books(t *testing.T, name string) (types []string) {
	t.Helper()
	for ev, err := range w.store.Read(t.Context(), eventstore.InStream(service.Page(name, "t1")), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, ev.Type)
	}
	return types
}

// end is what the trip has come to, and what each service has in its books: every order once, however often it was asked for.
func (w *world) end(t *testing.T, r killtest.Result) map[string]string {
	t.Helper()
	if r.Code != fine {
		t.Errorf("exit %d: %s", r.Code, r.Err)
	}
	all := map[string]string{"trip": states(end(t, result{r.Code, r.Out, r.Err}))}
	for _, name := range service.Names() {
		all[name] = strings.Join(w.books(t, name), ", ")
	}
	return all
}

func TestTripEndsTheSameWhoeverIsKilledInTheMiddleOfIt(t *testing.T) {
	t.Parallel()
	server := postgres(t)
	logs := killtest.Servers()
	logs["postgres"] = func(t *testing.T) string { t.Helper(); return database(t, server) }
	for name, c := range map[string]struct {
		faults map[string]string
		kill   func(t *testing.T, w *world, p *killtest.Process) *killtest.Process // returns the process that ends the trip
		want   map[string]string
	}{
		// The hotel has reserved the room, and its answer is lost with it.
		"a service that has done what it was asked for": {
			faults: map[string]string{"hotel": "-timeout"},
			kill: func(t *testing.T, w *world, p *killtest.Process) *killtest.Process {
				t.Helper()
				w.written(t, "hotel", service.Taken, p)
				w.services["hotel"].Kill(t)
				w.serve(t, "hotel", "")
				return p
			},
			want: booked,
		},
		// The card is charged, and nobody in the log knows of it.
		"the saga, with its service": {
			faults: map[string]string{"charge": "-timeout"},
			kill: func(t *testing.T, w *world, p *killtest.Process) *killtest.Process {
				t.Helper()
				w.written(t, "charge", service.Taken, p)
				p.Kill(t)
				w.services["charge"].Kill(t)
				w.serve(t, "charge", "")
				return w.book(t)
			},
			want: booked,
		},
		"the saga, while it undoes": {
			faults: map[string]string{"charge": "-fail"},
			kill: func(t *testing.T, w *world, p *killtest.Process) *killtest.Process {
				t.Helper()
				w.written(t, "flight", service.Withdrawn, p)
				p.Kill(t)
				return w.book(t)
			},
			want: undone,
		},
	} {
		for where, empty := range logs {
			t.Run(name+", on "+where, func(t *testing.T) {
				t.Parallel()
				w := begin(t, empty(t), c.faults)
				r := c.kill(t, w, w.book(t)).Wait(t)
				if diff := cmp.Diff(c.want, w.end(t, r)); diff != "" {
					t.Errorf("end (-undisturbed +killed):\n%s", diff)
				}
			})
		}
	}
}

// booked and undone are the ends of trips that nobody disturbs: TestEveryFaultHasItsEnd and the golden reports show them.
var (
	booked = map[string]string{
		"trip":   "completed: succeeded succeeded succeeded succeeded succeeded succeeded",
		"flight": service.Taken, "hotel": service.Taken, "car": service.Taken, "charge": service.Taken, "notify": service.Taken,
	}
	undone = map[string]string{
		"trip":   "compensated: undone undone undone refused not begun not begun",
		"flight": service.Taken + ", " + service.Withdrawn, "hotel": service.Taken + ", " + service.Withdrawn,
		"car": service.Taken + ", " + service.Withdrawn, "charge": "", "notify": "",
	}
)

package service_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/travel/service"
	"github.com/necrostack/necrostack/examples/travel/trip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// both opens a hotel twice: as it is in this process, and by HTTP.
func both(t *testing.T, faults service.Faults) map[string]service.Service {
	t.Helper()
	all := map[string]service.Service{}
	for _, way := range []string{"in this process", "by HTTP"} {
		store := memory.Open(memory.Config{})
		t.Cleanup(func() { store.Close() })
		desk, err := service.Open(store, trip.Hotel, faults)
		if err != nil {
			t.Fatal(err)
		}
		all[way] = desk
		if way == "by HTTP" {
			server := httptest.NewServer(service.Handler(desk))
			t.Cleanup(server.Close)
			all[way] = service.NewClient(server.URL, server.Client())
		}
	}
	return all
}

func TestOrderIsDoneOnceHoweverOftenItIsAskedFor(t *testing.T) {
	t.Parallel()
	for way, hotel := range both(t, service.Faults{}) {
		key := uuid.New()
		for range 3 {
			if ref, err := hotel.Order(t.Context(), "t 1/ä", "in LIS", key); ref != "HO-t 1/ä" || err != nil {
				t.Errorf("%s: %q, %v", way, ref, err)
			}
		}
		if held, err := hotel.Held(t.Context(), "t 1/ä"); held != (service.Booking{Reference: "HO-t 1/ä"}) || err != nil {
			t.Errorf("%s: %+v, %v", way, held, err)
		}
	}
}

// An order that was cancelled before it came must not be done when it comes.
func TestOrderThatComesAfterItsCancellationIsRefused(t *testing.T) {
	t.Parallel()
	for way, hotel := range both(t, service.Faults{}) {
		if err := hotel.Cancel(t.Context(), "t1", uuid.New()); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		if _, err := hotel.Order(t.Context(), "t1", "in LIS", uuid.New()); err == nil || err.Error() != "it was cancelled" || !service.IsNo(err) {
			t.Errorf("%s: got %v, want a no", way, err)
		}
		if held, err := hotel.Held(t.Context(), "t1"); held != (service.Booking{Cancelled: true}) || err != nil {
			t.Errorf("%s: %+v, %v", way, held, err)
		}
	}
}

func TestRefusalIsANoAndAnOutageIsNot(t *testing.T) {
	t.Parallel()
	for way, hotel := range both(t, service.Faults{Refuses: true, Away: true}) {
		for range 2 {
			if _, err := hotel.Order(t.Context(), "t1", "in LIS", uuid.New()); err == nil || service.IsNo(err) || err.Error() != service.ErrAway.Error() {
				t.Errorf("%s: got %v", way, err)
			}
		}
		if _, err := hotel.Order(t.Context(), "t1", "in LIS", uuid.New()); err == nil || !service.IsNo(err) || err.Error() != "no room in LIS" {
			t.Errorf("%s: got %v", way, err)
		}
	}
}

func TestLateAnswerIsNoAnswerButTheOrderIsDone(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	defer store.Close()
	hotel, err := service.Open(store, trip.Hotel, service.Faults{Late: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := hotel.Order(ctx, "t1", "in LIS", uuid.New())
		ended <- err
	}()
	var seen eventstore.Pulse
	for held := (service.Booking{}); held.Reference == ""; { // it is done while somebody still waits
		if held, err = hotel.Held(t.Context(), "t1"); err != nil {
			t.Fatal(err)
		}
		if held.Reference == "" {
			if seen, err = store.Wait(t.Context(), seen); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-ended; err == nil || service.IsNo(err) {
		t.Errorf("got %v, want an error that is no no", err)
	}
}

func TestWrongCallsAreAnsweredSo(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	defer store.Close()
	desk, err := service.Open(store, trip.Hotel, service.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method, path, key, body string
		want                    int
	}{
		"no key":         {http.MethodPut, "/orders/t1", "", `{"wants":"in LIS"}`, http.StatusBadRequest},
		"no UUID":        {http.MethodDelete, "/orders/t1", "7", "", http.StatusBadRequest},
		"nil key":        {http.MethodPut, "/orders/t1", uuid.Nil.String(), `{"wants":"in LIS"}`, http.StatusBadRequest},
		"no body":        {http.MethodPut, "/orders/t1", uuid.NewString(), "", http.StatusBadRequest},
		"no JSON":        {http.MethodPut, "/orders/t1", uuid.NewString(), "room", http.StatusBadRequest},
		"a long body":    {http.MethodPut, "/orders/t1", uuid.NewString(), `{"wants":"` + strings.Repeat("x", 1<<17) + `"}`, http.StatusBadRequest},
		"another method": {http.MethodPost, "/orders/t1", uuid.NewString(), "{}", http.StatusMethodNotAllowed},
		"another path":   {http.MethodGet, "/", "", "", http.StatusNotFound},
		"nothing there":  {http.MethodGet, "/orders/t1", "", "", http.StatusOK},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
		if c.key != "" {
			r.Header.Set("Idempotency-Key", c.key)
		}
		w := httptest.NewRecorder()
		service.Handler(desk).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, c.want, w.Body)
		}
	}
}

// Whoever answers instead of the service has said nothing about the order.
func TestAnswerOfSomebodyElseIsNoNo(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusConflict, http.StatusBadGateway} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>a proxy</html>"))
		}))
		_, err := service.NewClient(server.URL, server.Client()).Order(t.Context(), "t1", "in LIS", uuid.New())
		if err == nil || service.IsNo(err) {
			t.Errorf("%d: got %v, want an error that is no no", status, err)
		}
		server.Close()
	}
}

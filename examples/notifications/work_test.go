package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/internal/testenv"
)

// delivered are the messages in an outbox, by the process that has delivered them.
func delivered(t *testing.T, outbox string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(outbox, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	by := map[string][]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nBy: ")
		process, _, _ := strings.Cut(rest, "\n")
		by[process] = append(by[process], name)
	}
	return by
}

// until waits for what other processes do, and fails the test if one of them ends before.
func until(t *testing.T, so func() bool, processes ...*killtest.Process) {
	t.Helper()
	for !so() {
		for _, p := range processes {
			select {
			case <-p.Ended():
				t.Fatalf("it has ended too soon: %+v", p.Wait(t))
			default:
			}
		}
		select {
		case <-time.After(10 * time.Millisecond): // nothing announces what another process has done
		case <-t.Context().Done():
			t.Fatal("the test has ended")
		}
	}
}

// startWork starts a process that works, and returns it with the name that it has in its output and in the outbox.
func startWork(t *testing.T, args ...string) (p *killtest.Process, name string) {
	t.Helper()
	p = killtest.Start(t, slices.Concat([]string{"-work", "-latency", "100ms"}, args)...)
	name, _, _ = strings.Cut(p.Line(t), " works as ")
	return p, name
}

func TestProcessesThatShareTheWorkLoseNothingAndSendNothingTwiceWhenOneIsKilled(t *testing.T) {
	t.Parallel()
	const requests, messages = 100, 160
	ask := []string{"-repeat", fmt.Sprint(requests / 5)}
	undisturbed := runCommand(t, ask...)
	if undisturbed.code != fine {
		t.Fatalf("exit %d: %s", undisturbed.code, undisturbed.err)
	}
	for name, c := range map[string]struct {
		survivor, victim []string
		replaced         bool
	}{
		"each organ in both": {},
		"each organ in one":  {[]string{"-organs", "checker,router,delivery"}, []string{"-organs", "email,sms,push"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for server, database := range killtest.Servers() {
				t.Run(server, func(t *testing.T) {
					t.Parallel()
					dsn := database(t)
					outbox := t.TempDir()
					onStore := []string{"-store", dsn, "-outbox", outbox}
					survivor, first := startWork(t, append(onStore, c.survivor...)...)
					victim, second := startWork(t, append(onStore, c.victim...)...)
					asking := killtest.Start(t, slices.Concat([]string{"-store", dsn, "-organs", "none"}, ask)...)
					until(t, func() bool {
						by := delivered(t, outbox)
						return len(by[second]) >= 10 && (c.replaced || len(by[first]) >= 10)
					}, survivor, victim, asking)
					if r := victim.Kill(t); r.Code >= 0 {
						t.Errorf("exit %d: %s", r.Code, r.Err)
					}
					before := delivered(t, outbox)
					t.Logf("when %s was killed, it had delivered %d messages, and %s %d", second, len(before[second]), first, len(before[first]))
					if c.replaced {
						startWork(t, append(onStore, c.victim...)...)
					}
					r := asking.Wait(t)
					if diff := cmp.Diff(undisturbed.out, r.Out); r.Code != fine || diff != "" {
						t.Errorf("exit %d, %s, report (-undisturbed +killed):\n%s", r.Code, r.Err, diff)
					}
					all := 0
					for process, names := range delivered(t, outbox) {
						t.Logf("%s has delivered %d", process, len(names))
						all += len(names)
					}
					if had := len(before[second]) + len(before[first]); all != messages || had >= messages {
						t.Errorf("%d messages were delivered, want %d; %d of them before the kill", all, messages, had)
					}
					once(t, dsn, messages)
				})
			}
		})
	}
}

// once fails unless the log says of so many messages that they were delivered, and of each once.
func once(t *testing.T, dsn string, messages int) {
	t.Helper()
	times, all := map[string]int{}, 0
	for _, e := range logOf(t, open(t, dsn)) {
		switch e.Type {
		case notification.EmailDelivered{}.EventType(), notification.SMSDelivered{}.EventType(), notification.PushDelivered{}.EventType():
			all++
			times[string(e.Stream)+" "+e.Type]++
		}
	}
	if all != messages || len(times) != messages {
		t.Errorf("the log has %d deliveries of %d messages, want %d", all, len(times), messages)
	}
}

// stopping stops a program that has written a text so many times.
type stopping struct {
	bytes.Buffer

	text  string
	times int
	stop  func()
}

func (s *stopping) Write(p []byte) (int, error) {
	n, err := s.Buffer.Write(p)
	if strings.Count(s.String(), s.text) >= s.times {
		s.stop()
	}
	return n, err
}

func TestAProcessThatWorksTellsOfEveryMessageAndOfWhatItHasDone(t *testing.T) {
	t.Parallel()
	dsn := testenv.Redis(t).Database(t)
	asking := killtest.Start(t, "-store", dsn, "-organs", "none", "-quiet")
	ctx, stop := context.WithCancel(t.Context())
	said, ended := make(chan struct{}), make(chan struct{})
	out := &stopping{text: " 1 process runs checker, router, email, sms, push, delivery\n", times: 1, stop: sync.OnceFunc(func() { close(said) })}
	var diagnostics bytes.Buffer
	var code int
	go func() {
		defer close(ended)
		code = command(ctx, []string{"-work", "-store", dsn}, out, &diagnostics)
	}()
	defer func() {
		stop()
		<-ended
	}()
	if r := asking.Wait(t); r.Code != fine || !strings.Contains(r.Out, "completed      4\n") {
		t.Errorf("exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	select {
	case <-said:
	case <-ended:
	}
	stop()
	<-ended
	if code != fine || killtest.Said(diagnostics.String()) != "" {
		t.Errorf("exit %d: %s", code, diagnostics.String())
	}
	for want, times := range map[string]int{
		" email: sent to ada@example.com, request ": 1,
		" email: sent to ":                          3,
		" sms: sent to ":                            2,
		" sms: parked to +12025550103, request ":    1,
		" push: sent to ":                           3,
		" ends; it was handed 5 by checker, 13 by delivery, 3 by email, 3 by push, 5 by router, 3 by sms\n": 1,
	} {
		if got := strings.Count(out.String(), want); got != times {
			t.Errorf("%q is there %d times, want %d, in\n%s", want, got, times, out.String())
		}
	}
}

func TestWhoeverWaitsForOrgansThatNobodyRunsIsTold(t *testing.T) {
	t.Parallel()
	dsn := testenv.Redis(t).Database(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, diagnostics := &bytes.Buffer{}, &stopping{text: "nobody runs", times: 1, stop: stop}
	code := command(ctx, []string{"-store", dsn, "-organs", "checker,router,delivery"}, out, diagnostics)
	want := "notifications: nobody runs these: start a process with -work -organs email,sms,push\n"
	if code != failed || !strings.HasPrefix(killtest.Said(diagnostics.String()), want) || out.Len() > 0 {
		t.Errorf("exit %d, %s%s", code, diagnostics, out)
	}
}

func TestAProcessWithAPartOfTheOrgansWaitsForTheOthersAndReportsItAll(t *testing.T) {
	t.Parallel()
	want := runCommand(t)
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			startWork(t, "-store", dsn, "-organs", "sms,push")
			r := runCommand(t, "-store", dsn, "-organs", "checker,router,email,delivery")
			if diff := cmp.Diff(want.out, r.out); r.code != fine || diff != "" {
				t.Errorf("exit %d, %s, report (-alone +shared):\n%s", r.code, r.err, diff)
			}
		})
	}
}

package main

import (
	"fmt"
	"runtime"
	"time"
)

// heap is what a run needed of memory, in bytes.
type heap struct {
	peak uint64 // of spans in use, looked at 20 times a second
	sys  uint64 // what the process has from the system at the end; it hardly ever gives something back
}

func (h heap) String() string {
	return fmt.Sprintf("heap %.0f MB at its peak, %.0f MB from the system", megabytes(h.peak), megabytes(h.sys))
}

func megabytes(bytes uint64) float64 { return float64(bytes) / 1e6 }

// watched runs something and watches the heap meanwhile.
func watched(run func() error) (h heap, err error) {
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.peak, h.sys = max(h.peak, m.HeapInuse), m.Sys
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second / 20)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-over:
				return
			}
		}
	}()
	err = run()
	close(over)
	<-ended
	look()
	return h, err
}

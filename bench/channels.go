// channels.go - Go's channels, for channels.c: WHAT CAPACITY N [threads] does what channels.c does under that name, and prints
// the nanoseconds for one of N. With "threads" each goroutine has a thread of its own, as the callers of yoke's channels have.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

var own bool

func start(body func()) {
	go func() {
		if own {
			runtime.LockOSThread()
		}
		body()
	}()
}

func check(ok bool) {
	if !ok {
		os.Exit(1)
	}
}

func pingPong(capacity, n int) {
	there, back := make(chan uint64, capacity), make(chan uint64, capacity)
	start(func() {
		for v := range there {
			back <- v + 1
		}
		close(back)
	})
	for i := 0; i < n; i++ {
		there <- uint64(i)
		check(<-back == uint64(i)+1)
	}
	close(there)
	<-back
}

func stream(capacity, n int) {
	c := make(chan uint64, capacity)
	start(func() {
		for i := 0; i < n; i++ {
			c <- uint64(i)
		}
		close(c)
	})
	next := uint64(0)
	for v := range c {
		check(v == next)
		next++
	}
	check(next == uint64(n))
}

func streamBySelect(capacity, n int) {
	c, other := make(chan uint64, capacity), make(chan uint64)
	start(func() {
		for i := 0; i < n; i++ {
			select {
			case c <- uint64(i):
			case <-other:
				os.Exit(1)
			}
		}
		close(c)
	})
	for next := uint64(0); ; next++ {
		select {
		case v, ok := <-c:
			if !ok {
				check(next == uint64(n))
				return
			}
			check(v == next)
		case <-other:
			os.Exit(1)
		}
	}
}

func alone(capacity, n int) {
	c := make(chan uint64, capacity)
	for i := 0; i < n; i++ {
		c <- uint64(i)
		check(<-c == uint64(i))
	}
}

func main() {
	what := map[string]func(int, int){"ping-pong": pingPong, "stream": stream, "select": streamBySelect, "alone": alone}
	capacity, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.Atoi(os.Args[3])
	if own = len(os.Args) > 4; own {
		runtime.LockOSThread()
	}
	begin := time.Now()
	what[os.Args[1]](capacity, n)
	fmt.Println(float64(time.Since(begin).Nanoseconds()) / float64(n))
}

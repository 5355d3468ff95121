// coro_go.go - coro_go WORD COUNT: ns of CPU time that one of COUNT takes, with goroutines on one CPU:
//
//	spawn      starts a goroutine and waits for its end, one after the other
//	spawn1000  starts 1000, then waits for the end of all
//	yield      lets the other run, of two that do nothing else
//	yield1000  the same of 1000
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

var ran int // by one goroutine at a time, as there is one CPU for all

func spawn(count, together int) {
	for done := 0; done < count; done += together {
		var group sync.WaitGroup
		group.Add(together)
		for i := 0; i < together; i++ {
			go func() {
				ran++
				group.Done()
			}()
		}
		group.Wait()
	}
}

func yield(count, together int) {
	var group sync.WaitGroup
	group.Add(together)
	for i := 0; i < together; i++ {
		go func() {
			for j := 0; j < count/together; j++ {
				ran++
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
}

// Of all threads of the process, in ns.
func cpuTime() int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

func main() {
	runtime.GOMAXPROCS(1)
	words := map[string]func(int){
		"spawn":     func(n int) { spawn(n, 1) },
		"spawn1000": func(n int) { spawn(n, 1000) },
		"yield":     func(n int) { yield(n, 2) },
		"yield1000": func(n int) { yield(n, 1000) },
	}
	if len(os.Args) != 3 || words[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: coro_go spawn|spawn1000|yield|yield1000 COUNT")
		os.Exit(2)
	}
	count, _ := strconv.Atoi(os.Args[2])
	words[os.Args[1]](count / 10)
	ran = 0
	begin := cpuTime()
	words[os.Args[1]](count)
	took := cpuTime() - begin
	if ran < count {
		fmt.Fprintln(os.Stderr, "coro_go: wrong answer:", ran)
		os.Exit(1)
	}
	fmt.Println(float64(took) / float64(ran))
}

// A load at a constant rate. Each latency counts from when the request was due, and not from when a connection was
// free for it: a proxy that stalls is charged with all that had to wait meanwhile.
//
// One thread, one epoll, and a timer of the kernel's: sleeping in Go is a millisecond too coarse for this.
// With -rate=0 every connection asks again at once; that finds the most that proxy and load carry together.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

type connection struct {
	fd      int
	due     int64 // of the request under way, in ns
	missing int   // bytes of its response; -1 while its head has not come
	head    []byte
}

var lengthField = regexp.MustCompile(`(?i)\r\ncontent-length: *(\d+)`)

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, what+":", err)
	os.Exit(1)
}

var start = time.Now()

func now() int64 { return int64(time.Since(start)) }

func dial(address *net.TCPAddr) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		fail("socket", err)
	}
	where := &syscall.SockaddrInet4{Port: address.Port}
	copy(where.Addr[:], address.IP.To4())
	if err := syscall.Connect(fd, where); err != nil {
		fail("connect", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if err := syscall.SetNonblock(fd, true); err != nil {
		fail("nonblock", err)
	}
	return fd
}

// timer is a timerfd that is set to a time of this program's clock.
type timer struct{ fd int }

func newTimer() timer {
	const monotonic = 1
	fd, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK, 0)
	if errno != 0 {
		fail("timerfd_create", errno)
	}
	return timer{int(fd)}
}

func (t timer) set(after int64) {
	if after < 1 {
		after = 1
	}
	spec := [4]int64{0, 0, after / 1e9, after % 1e9}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(t.fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		fail("timerfd_settime", errno)
	}
}

// load is one run.
type load struct {
	request   []byte
	idle      []*connection
	waiting   []int64 // when the requests were due that found no free connection
	first     int     // of these
	latencies []int64
	from      int64 // responses to requests that were due before are not counted
	saturate  bool
	buffer    []byte
}

func (l *load) send(c *connection, due int64) {
	c.due, c.missing, c.head = due, -1, c.head[:0]
	written, err := syscall.Write(c.fd, l.request)
	if err != nil || written != len(l.request) {
		fail("write", fmt.Errorf("%d of %d bytes: %v", written, len(l.request), err))
	}
}

func (l *load) ask(due int64) {
	if last := len(l.idle) - 1; last >= 0 {
		c := l.idle[last]
		l.idle = l.idle[:last]
		l.send(c, due)
	} else {
		l.waiting = append(l.waiting, due)
	}
}

func (l *load) read(c *connection) {
	size, err := syscall.Read(c.fd, l.buffer)
	if err == syscall.EAGAIN {
		return
	}
	if err != nil || size <= 0 {
		fail("read", fmt.Errorf("%d bytes: %v", size, err))
	}
	if c.missing < 0 {
		c.head = append(c.head, l.buffer[:size]...)
		end := bytes.Index(c.head, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		if !bytes.HasPrefix(c.head, []byte("HTTP/1.1 200")) {
			fail("answer", fmt.Errorf("%q", c.head[:end]))
		}
		length := lengthField.FindSubmatch(c.head[:end])
		if length == nil {
			fail("answer", fmt.Errorf("without a length: %q", c.head[:end]))
		}
		body, _ := strconv.Atoi(string(length[1]))
		c.missing = body - (len(c.head) - end - 4)
	} else {
		c.missing -= size
	}
	if c.missing > 0 {
		return
	}
	at := now()
	if c.due >= l.from {
		l.latencies = append(l.latencies, at-c.due)
	}
	switch {
	case l.saturate:
		l.send(c, at)
	case l.first < len(l.waiting):
		due := l.waiting[l.first]
		l.first++
		l.send(c, due)
	default:
		l.idle = append(l.idle, c)
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8080", "whom to ask")
	path := flag.String("path", "/small", "for what")
	connections := flag.Int("connections", 32, "how many")
	rate := flag.Float64("rate", 1000, "requests a second; 0: as many as can be")
	seconds := flag.Float64("seconds", 3, "how long")
	warm := flag.Float64("warm", 0.5, "seconds before that are not counted")
	flag.Parse()
	runtime.LockOSThread()
	where, err := net.ResolveTCPAddr("tcp4", *address)
	if err != nil {
		fail("address", err)
	}
	epoll, err := syscall.EpollCreate1(0)
	if err != nil {
		fail("epoll", err)
	}
	all := map[int32]*connection{}
	watch := func(fd int) {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
		if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			fail("epoll", err)
		}
	}
	l := &load{
		request:   []byte("GET " + *path + " HTTP/1.1\r\nHost: " + *address + "\r\n\r\n"),
		latencies: make([]int64, 0, 1<<21),
		waiting:   make([]int64, 0, 1<<20),
		buffer:    make([]byte, 1<<16),
		saturate:  *rate <= 0,
	}
	for range make([]struct{}, *connections) {
		c := &connection{fd: dial(where), missing: -1}
		all[int32(c.fd)] = c
		watch(c.fd)
		l.idle = append(l.idle, c)
	}
	clock := newTimer()
	watch(clock.fd)
	debug.SetGCPercent(-1) // nothing is to come in between
	begin := now()
	l.from = begin + int64(*warm*1e9)
	end := l.from + int64(*seconds*1e9)
	interval := 0.0
	if l.saturate {
		for _, c := range l.idle {
			l.send(c, begin)
		}
		clock.set(end - begin)
	} else {
		interval = 1e9 / *rate
	}
	events := make([]syscall.EpollEvent, 256)
	asked := 0
	for {
		at := now()
		if at >= end {
			break
		}
		if !l.saturate {
			for ; begin+int64(float64(asked)*interval) <= at; asked++ {
				l.ask(begin + int64(float64(asked)*interval))
			}
			clock.set(begin + int64(float64(asked)*interval) - now())
		}
		ready, err := syscall.EpollWait(epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			fail("epoll", err)
		}
		for _, event := range events[:max(ready, 0)] {
			if c, ok := all[event.Fd]; ok {
				l.read(c)
			} else {
				_, _ = syscall.Read(clock.fd, l.buffer[:8])
			}
		}
	}
	// What was due in time and has no answer yet has waited for so long at least.
	at := now()
	for _, c := range all {
		if c.due >= l.from && c.missing != 0 {
			l.latencies = append(l.latencies, at-c.due)
		}
	}
	for _, due := range l.waiting[l.first:] {
		if due >= l.from {
			l.latencies = append(l.latencies, at-due)
		}
	}
	sort.Slice(l.latencies, func(a, b int) bool { return l.latencies[a] < l.latencies[b] })
	percentile := func(share float64) float64 {
		if len(l.latencies) == 0 {
			return 0
		}
		return float64(l.latencies[int(share*float64(len(l.latencies)-1))]) / 1e9
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"requests": len(l.latencies),
		"waiting":  len(l.waiting) - l.first,
		"seconds":  *seconds,
		"p50":      percentile(0.50),
		"p99":      percentile(0.99),
	})
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

package hosts

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxPacket is more than any IPv4 packet has.
	maxPacket = 1 << 16
	// maxQueue is how many packets may be on their way from a host to another; more are dropped.
	maxQueue = 8192
	// maxWait is how long a packet may wait for its turn where there is a rate, as in the buffer of a router; those
	// that would have to wait longer are dropped.
	maxWait = 2 * time.Second
)

// packet is one that is to be delivered at a time.
type packet struct {
	due  time.Time
	data []byte
}

// fabric takes IPv4 packets from the devices of hosts and gives them to the devices of the hosts to which they are
// addressed, under conditions. It knows no namespaces: a device gives one packet for each Read and takes one with each
// Write.
type fabric struct {
	devices map[int]io.ReadWriteCloser
	closed  chan struct{}
	running sync.WaitGroup

	mu         sync.Mutex
	addresses  map[netip.Addr]int
	random     *rand.Rand
	conditions []*Condition
	// free is when the next packet may set out on a lane of a condition with a rate.
	free map[*Condition]map[lane]time.Time
}

// newFabric connects hosts by their devices. The seed fixes which packets are lost.
func newFabric(devices map[int]io.ReadWriteCloser, addresses map[netip.Addr]int, seed uint64) *fabric {
	f := &fabric{
		devices: devices, closed: make(chan struct{}), addresses: addresses, random: rand.New(rand.NewPCG(seed, 2)),
		free: map[*Condition]map[lane]time.Time{},
	}
	for host, device := range devices {
		f.running.Go(func() { f.read(host, device) })
	}
	return f
}

// close ends the fabric and its devices. Packets under way are dropped.
func (f *fabric) close() {
	close(f.closed)
	for _, device := range f.devices {
		_ = device.Close() // ends its reader
	}
	f.running.Wait()
}

// set makes these conditions the ones that hold. Packets under way are delivered as those before said.
func (f *fabric) set(conditions []*Condition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conditions = conditions
	for condition := range f.free {
		delete(f.free, condition)
	}
	for _, condition := range conditions {
		f.free[condition] = map[lane]time.Time{}
	}
}

// route sends packets for an address to a host, and no longer those for its other addresses.
func (f *fabric) route(address netip.Addr, host int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, owner := range f.addresses {
		if owner == host {
			delete(f.addresses, other)
		}
	}
	f.addresses[address] = host
}

// read takes packets from a host until its device is closed.
func (f *fabric) read(from int, device io.Reader) {
	// A queue for each host to which it sends keeps packets in their order whatever their delay, as a path does.
	queues := map[int]chan packet{}
	defer func() {
		for _, queue := range queues {
			close(queue)
		}
	}()
	buffer := make([]byte, maxPacket)
	for {
		n, err := device.Read(buffer)
		if err != nil {
			return
		}
		to, due, ok := f.judge(from, buffer[:n], time.Now())
		if !ok {
			continue
		}
		queue := queues[to]
		if queue == nil {
			queue = make(chan packet, maxQueue)
			queues[to] = queue
			f.running.Go(func() { f.deliver(f.devices[to], queue) })
		}
		select {
		case queue <- packet{due, append([]byte(nil), buffer[:n]...)}:
		default: // full
		}
	}
}

// judge says to which host a packet goes and when it arrives there; false: it does not.
func (f *fabric) judge(from int, data []byte, now time.Time) (to int, due time.Time, ok bool) {
	const header, destination = 20, 16
	if len(data) < header || data[0]>>4 != 4 {
		return 0, now, false // interfaces speak IPv6 by themselves
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	to, ok = f.addresses[netip.AddrFrom4([4]byte(data[destination:header]))]
	if !ok {
		return 0, now, false
	}
	due = now
	var delay time.Duration
	for _, c := range f.conditions {
		way, concerned := c.lane(from, to)
		if !concerned {
			continue
		}
		if c.Cut || c.Hole > 0 && len(data) > c.Hole || c.Loss > 0 && f.random.Float64() < c.Loss {
			return 0, now, false
		}
		delay += c.Delay
		if c.Rate > 0 {
			begin := f.free[c][way]
			if begin.Before(now) {
				begin = now
			}
			end := begin.Add(time.Duration(int64(len(data)) * 8 * int64(time.Second) / c.Rate))
			if end.Sub(now) > maxWait {
				return 0, now, false
			}
			f.free[c][way] = end
			if end.After(due) {
				due = end
			}
		}
	}
	return to, due.Add(delay), true
}

// deliver gives a host the packets of a queue, each when it is due.
func (f *fabric) deliver(device io.Writer, queue <-chan packet) {
	for p := range queue {
		timer := time.NewTimer(time.Until(p.due))
		select {
		case <-timer.C:
		case <-f.closed:
			timer.Stop()
			return
		}
		_, _ = device.Write(p.data) // a host that cannot take a packet loses it
	}
}

package hosts

import (
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// wire is a device whose other end is a test.
type wire struct {
	out    chan []byte // what the host sends
	in     chan packet // what it got, with when
	closed chan struct{}
}

func newWire() *wire {
	return &wire{out: make(chan []byte), in: make(chan packet, 10_000), closed: make(chan struct{})}
}

func (w *wire) Read(buffer []byte) (int, error) {
	select {
	case data := <-w.out:
		return copy(buffer, data), nil
	case <-w.closed:
		return 0, io.EOF
	}
}

func (w *wire) Write(data []byte) (int, error) {
	w.in <- packet{time.Now(), data}
	return len(data), nil
}

func (w *wire) Close() error { close(w.closed); return nil }

// network is three nodes and the outside, in a bubble of time.
type network struct {
	*fabric
	wires map[int]*wire
	begun time.Time
}

func newNetwork(conditions ...*Condition) *network {
	n := &network{wires: map[int]*wire{}, begun: time.Now()}
	devices := map[int]io.ReadWriteCloser{}
	addresses := map[netip.Addr]int{}
	for _, host := range []int{0, 1, 2, Outside} {
		n.wires[host] = newWire()
		devices[host] = n.wires[host]
		addresses[testAddress(host)] = host
	}
	n.fabric = newFabric(devices, addresses, 1)
	n.set(conditions)
	return n
}

func testAddress(host int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + host)}) }

// send has a host send a packet of a size and with a number to an address.
func (n *network) send(from int, to netip.Addr, size, number int) {
	data := make([]byte, max(size, 24))
	data[0] = 4 << 4
	copy(data[16:], to.AsSlice())
	binary.BigEndian.PutUint32(data[20:], uint32(number))
	n.wires[from].out <- data
}

// arrival is a packet that came to a host.
type arrival struct {
	Number int
	After  time.Duration // since the network was made
}

// arrived waits and takes what has come to a host.
func (n *network) arrived(host int, wait time.Duration) (all []arrival) {
	time.Sleep(wait) // the bubble's
	synctest.Wait()
	for {
		select {
		case p := <-n.wires[host].in:
			all = append(all, arrival{int(binary.BigEndian.Uint32(p.data[20:])), p.due.Sub(n.begun)})
		default:
			return all
		}
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	split := &Condition{Groups: [][]int{{0}, {1, 2}}, Cut: true}
	alone := &Condition{Groups: [][]int{{0}, nil}, Cut: true}
	for name, c := range map[string]struct {
		conditions []*Condition
		do         func(n *network)
		want       map[int][]arrival // by host
	}{
		"nothing holds": {nil, func(n *network) {
			n.send(0, testAddress(1), 100, 1)
			n.send(1, testAddress(Outside), 100, 2)
		}, map[int][]arrival{1: {{1, 0}}, Outside: {{2, 0}}}},
		"an address of nobody, and packets that are none": {nil, func(n *network) {
			n.send(0, netip.MustParseAddr("10.9.9.9"), 100, 1)
			n.wires[0].out <- []byte{4 << 4, 1}
			n.wires[0].out <- append([]byte{6 << 4}, make([]byte, 60)...)
		}, map[int][]arrival{}},
		"a split leaves both of its sides and the outside alone": {[]*Condition{split}, func(n *network) {
			n.send(0, testAddress(1), 100, 1)
			n.send(2, testAddress(0), 100, 2)
			n.send(1, testAddress(2), 100, 3)
			n.send(0, testAddress(Outside), 100, 4)
		}, map[int][]arrival{2: {{3, 0}}, Outside: {{4, 0}}}},
		"a node that is cut off hears nobody": {[]*Condition{alone}, func(n *network) {
			n.send(0, testAddress(Outside), 100, 1)
			n.send(Outside, testAddress(0), 100, 2)
			n.send(1, testAddress(2), 100, 3)
		}, map[int][]arrival{2: {{3, 0}}}},
		"healing": {[]*Condition{split}, func(n *network) {
			n.send(0, testAddress(1), 100, 1)
			time.Sleep(50 * ms)
			n.set(nil)
			n.send(0, testAddress(1), 100, 2)
		}, map[int][]arrival{1: {{2, 50 * ms}}}},
		"delays add up": {[]*Condition{
			{Groups: [][]int{{0}, {1}, {2}}, Delay: 100 * ms}, {Groups: [][]int{{0}, nil}, Delay: 20 * ms},
		}, func(n *network) {
			n.send(0, testAddress(1), 100, 1)
			n.send(1, testAddress(2), 100, 2)
			n.send(0, testAddress(Outside), 100, 3)
			n.send(1, testAddress(Outside), 100, 4)
		}, map[int][]arrival{1: {{1, 120 * ms}}, 2: {{2, 100 * ms}}, Outside: {{4, 0}, {3, 20 * ms}}}},
		"a delay that ends keeps the order": {[]*Condition{{Groups: [][]int{{0}, {1}}, Delay: 100 * ms}}, func(n *network) {
			n.send(0, testAddress(1), 100, 1)
			n.set(nil)
			n.send(0, testAddress(1), 100, 2)
		}, map[int][]arrival{1: {{1, 100 * ms}, {2, 100 * ms}}}},
		"a black hole takes long packets alone": {[]*Condition{{Groups: [][]int{{0}, nil}, Hole: 500}}, func(n *network) {
			n.send(0, testAddress(1), 500, 1)
			n.send(0, testAddress(1), 501, 2)
			n.send(1, testAddress(0), 501, 3)
			n.send(1, testAddress(2), 501, 4)
		}, map[int][]arrival{1: {{1, 0}}, 2: {{4, 0}}}},
		"a rate is shared, each way for itself": {[]*Condition{{Groups: [][]int{{0}, nil}, Rate: 80_000}}, func(n *network) {
			n.send(0, testAddress(1), 1000, 1) // 1000 bytes take 100 ms
			n.send(0, testAddress(1), 1000, 2)
			n.send(0, testAddress(2), 1000, 3)
			n.send(1, testAddress(0), 1000, 4)
			n.send(1, testAddress(2), 1000, 5)
		}, map[int][]arrival{1: {{1, 100 * ms}, {2, 200 * ms}}, 2: {{5, 0}, {3, 300 * ms}}, 0: {{4, 100 * ms}}}},
		"what would wait longer than a buffer holds is dropped": {[]*Condition{{Groups: [][]int{{0}, {1}}, Rate: 8000}},
			func(n *network) {
				for number := range 5 {
					n.send(0, testAddress(1), 900, number) // 900 bytes take 900 ms
				}
			}, map[int][]arrival{1: {{0, 900 * ms}, {1, 1800 * ms}}}},
		"a host that moves": {nil, func(n *network) {
			n.route(netip.MustParseAddr("10.0.0.201"), 1)
			n.send(0, testAddress(1), 100, 1)
			n.send(0, netip.MustParseAddr("10.0.0.201"), 100, 2)
		}, map[int][]arrival{1: {{2, 0}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(c.conditions...)
				c.do(n)
				got := map[int][]arrival{}
				time.Sleep(5 * time.Second) // the bubble's
				for host := range n.wires {
					if all := n.arrived(host, 0); all != nil {
						got[host] = all
					}
				}
				n.close()
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("packets (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestLoss counts, and finds the same packets lost by the same seed.
func TestLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs [2][]arrival
		for run := range runs {
			n := newNetwork(&Condition{Groups: [][]int{{0}, {1}}, Loss: .2})
			for number := range 5000 {
				n.send(0, testAddress(1), 100, number)
			}
			runs[run] = n.arrived(1, 0)
			n.close()
		}
		if got := len(runs[0]); got < 3900 || got > 4100 {
			t.Errorf("%d of 5000 packets arrived at a loss of 20 %%", got)
		}
		if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
			t.Errorf("the same seed loses others (-first +second):\n%s", diff)
		}
	})
}

// TestCloseDropsWhatIsUnderWay ends a network with packets that would have come later.
func TestCloseDropsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(&Condition{Groups: [][]int{{0}, {1}}, Delay: time.Hour})
		n.send(0, testAddress(1), 100, 1)
		synctest.Wait()
		n.close()
		if late := time.Since(n.begun); late != 0 {
			t.Errorf("it took %s", late)
		}
	})
}

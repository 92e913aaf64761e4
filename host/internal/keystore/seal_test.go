package keystore

import (
	"runtime"
	"testing"
)

// TestDerivationGivesItsMemoryBack holds that a node does not keep the memory of a derivation after it.
func TestDerivationGivesItsMemoryBack(t *testing.T) { // beside no other test, which would take memory meanwhile
	held := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapSys - m.HeapReleased
	}
	cost := Scrypt{N: 1 << 16, R: 8, P: 1} // 64 MiB
	before := held()
	cost.key([]byte("password"), make([]byte, saltLength), 32)
	if after := held(); after > before+16<<20 {
		t.Errorf("%d MiB are held after a derivation that takes 64, %d before", after>>20, before>>20)
	}
}

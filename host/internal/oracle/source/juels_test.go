package source

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loop-plugins/loop/host/internal/database"
)

// market is a source of prices and the store that keeps them, in memory.
type market struct {
	mu    sync.Mutex
	price int64 // 0: the source fails
	hangs bool
	asked int
	kept  *database.JuelsPerFeeCoin
	logs  bytes.Buffer
}

func (m *market) observe(ctx context.Context) (*big.Int, error) {
	m.mu.Lock()
	m.asked++
	price, hangs := m.price, m.hangs
	m.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if price < 0 {
		panic("the market crashed")
	}
	if price == 0 {
		return nil, errors.New("the market is closed")
	}
	return big.NewInt(price), nil
}

func (m *market) become(price int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.price = price
}

func (m *market) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// Write takes log lines.
func (m *market) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logs.Write(p)
}

func (m *market) log() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.logs.Reset()
	return m.logs.String()
}

// JuelsPerFeeCoin implements priceStore.
func (m *market) JuelsPerFeeCoin(context.Context, int64) (database.JuelsPerFeeCoin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		return database.JuelsPerFeeCoin{}, database.ErrNotFound
	}
	return *m.kept, nil
}

// PutJuelsPerFeeCoin implements priceStore.
func (m *market) PutJuelsPerFeeCoin(_ context.Context, _ int64, price database.JuelsPerFeeCoin) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = &price
	return nil
}

func (m *market) cache() *cache {
	return newCache(cacheSettings{
		observe: m.observe, store: m, jobID: 1, interval: 5 * time.Minute, staleness: time.Hour,
		logger: slog.New(slog.NewTextHandler(m, nil)),
	})
}

func price(t *testing.T, c *cache, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got, err := c.get(ctx)
	switch {
	case want == 0 && err == nil:
		t.Errorf("price %d; want an error", got)
	case want != 0 && (err != nil || got.Int64() != want):
		t.Errorf("price %v, error %v; want %d", got, err, want)
	}
}

func TestCacheRefreshesAtItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &market{price: 7}
		c := m.cache()
		defer c.close()
		for range 100 {
			price(t, c, 7)
		}
		m.become(8)
		time.Sleep(5*time.Minute - time.Second)
		price(t, c, 7)
		time.Sleep(2 * time.Second)
		price(t, c, 8)
		if m.times() != 2 {
			t.Errorf("the source was asked %d times; want 2", m.times())
		}
		if log := m.log(); log != "" {
			t.Errorf("logged %q", log)
		}
	})
}

func TestCacheRetriesInlineOnceAndThenUsesTheOldPrice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &market{price: 7}
		c := m.cache()
		defer c.close()
		price(t, c, 7)
		m.become(0)
		time.Sleep(5*time.Minute + time.Second)
		asked := m.times()
		price(t, c, 7)
		if got := m.times() - asked; got != 1 {
			t.Errorf("an observation after a failed refresh asked %d times; want once", got)
		}
		if log := m.log(); !strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
			t.Errorf("a price of five minutes is logged as %q", log)
		}
		time.Sleep(time.Hour)
		m.log()
		price(t, c, 7)
		if log := m.log(); !strings.Contains(log, "level=ERROR") {
			t.Errorf("a price of an hour is logged as %q", log)
		}
		m.become(9)
		price(t, c, 9) // the inline retry itself
		asked = m.times()
		price(t, c, 9)
		if m.times() != asked {
			t.Error("the source was asked although the last refresh was good")
		}
	})
}

func TestCacheLeavesTimeWhenTheSourceHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &market{price: 7}
		c := m.cache()
		defer c.close()
		price(t, c, 7)
		m.become(0)
		time.Sleep(5*time.Minute + time.Second)
		m.mu.Lock()
		m.hangs = true
		m.mu.Unlock()
		begin := time.Now()
		price(t, c, 7)
		if took := time.Since(begin); took != 500*time.Millisecond {
			t.Errorf("took %s; want half of the second that the observation has", took)
		}
		asked := m.times()
		price(t, c, 7) // joins the refresh under way
		if m.times() != asked {
			t.Error("a refresh was begun beside another")
		}
		time.Sleep(refreshTimeout)
		m.mu.Lock()
		m.hangs, m.price = false, 8
		m.mu.Unlock()
		price(t, c, 8)
	})
}

func TestCacheUsesTheKeptPrice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &market{}
		c := m.cache()
		price(t, c, 0) // neither in memory nor kept
		m.become(-1)
		price(t, c, 0) // a panic is an error
		m.become(5)
		price(t, c, 5)
		synctest.Wait()
		c.close()
		time.Sleep(2 * time.Hour) // the node is down
		m.become(0)
		m.log()
		c = m.cache()
		defer c.close()
		price(t, c, 5)
		if log := m.log(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "age=2h0m0s") {
			t.Errorf("a kept price of two hours is logged as %q", log)
		}
	})
}

package price

import (
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestServerRemembers proves that what a node was told is what it was sent, by http or bridge.
func TestServerRemembers(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	server, err := Start(7, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	if least, most := server.Range(); least != nil || most != nil {
		t.Errorf("before anybody asked the prices were %s to %s", least, most)
	}
	begin := time.Now()
	want := map[string][]string{}
	for i := range 6 {
		node := fmt.Sprint("node-", i%2)
		ask := func() (*http.Response, error) { return http.Get(server.PriceURL(node)) }
		if i > 3 {
			ask = func() (*http.Response, error) {
				return http.Post(server.BridgeURL(node), "application/json", strings.NewReader("{}"))
			}
		}
		response, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		number := strings.TrimSuffix(strings.TrimPrefix(string(body), `{"data":{"result":"`), `"}}`+"\n")
		want[node] = append(want[node], strings.Replace(number, ".", "", 1))
	}
	got := map[string][]string{}
	for _, node := range []string{"node-0", "node-1", "node-2"} {
		for _, value := range server.Told(node, begin, time.Now()) {
			got[node] = append(got[node], value.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-sent +remembered):\n%s", diff)
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{record: newRecord(time.Now)}
		begin := time.Now()
		for i := range int64(kept + 10) {
			s.record.add("node-0", big.NewInt(1000-i))
			time.Sleep(time.Second)
		}
		s.record.add("node-1", big.NewInt(-2000))
		at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
		if got := fmt.Sprint(s.Told("node-0", at(20), at(22))); got != "[980 979 978]" {
			t.Errorf("the prices of three seconds are %s", got)
		}
		if all := s.Told("node-0", begin, at(10_000)); len(all) != kept {
			t.Errorf("%d prices are remembered, want %d", len(all), kept)
		}
		if least, most := s.Range(); least.Int64() != -2000 || most.Int64() != 1000 {
			t.Errorf("the prices were %s to %s, want -2000 to 1000", least, most)
		}
	})
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "1": "100000000", "2000.12345678": "200012345678", "0.5": "50000000",
		"1565616210741547008": "156561621074154700800000000",
	} {
		if got, err := Units(text); err != nil || got.String() != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1e3", "01", ".5", "1.", "1.123456789", "NaN"} {
		if got, err := Units(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

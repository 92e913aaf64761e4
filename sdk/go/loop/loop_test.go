package loop_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

// serveKey has the test binary be a plugin.
const serveKey = "LOOP_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveKey) != "" {
		medianv1loop.ServeMedian(func(h *loop.Host) medianv1loop.MedianService { return &fakeMedian{host: h} })
		return
	}
	goleak.VerifyTestMain(m)
}

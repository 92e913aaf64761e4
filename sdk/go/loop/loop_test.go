package loop_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

// serveKey has the test binary be a plugin.
const serveKey = "LOOP_TEST_SERVE"

// helperKey has that plugin start a process that holds its stderr.
const helperKey = "FAKE_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(serveKey) != "" {
		switch os.Getenv(helperKey) {
		case "start":
			helper := exec.Command(os.Args[0])
			helper.Env, helper.Stderr = []string{serveKey + "=1", helperKey + "=stay"}, os.Stderr
			if err := helper.Start(); err != nil {
				panic(err)
			}
		case "stay":
			time.Sleep(10 * time.Minute)
		}
		medianv1loop.ServeMedian(func(h *loop.Host) medianv1loop.MedianService { return &fakeMedian{host: h} })
		return
	}
	goleak.VerifyTestMain(m)
}

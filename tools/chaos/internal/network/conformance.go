package network

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// conformance runs the suite against the operators' plugins as processes.
func (b Bench) conformance(ctx context.Context, r *trial.Report) error {
	for _, v := range []struct{ kind, name string }{{"relayer", "loop-evm"}, {"median", "loop-median"}} {
		suite := exec.CommandContext(ctx, filepath.Join(b.Bin, "conformance"), "--json", "--kind", v.kind, "--",
			filepath.Join(b.Bin, v.name))
		var out bytes.Buffer
		suite.Stdout = &out
		failure := suite.Run() // a case that fails is in its result
		var got struct {
			Passed, Failed, Known, Skipped int
			DurationMS                     int64 `json:"duration_ms"`
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			return fmt.Errorf("the conformance suite did not say how %s did: %w; run make build", v.name, failure)
		}
		r.Holds(v.name+" as a process", "every case passes",
			fmt.Sprintf("%d passed, %d failed, %d skipped, in %.1f s", got.Passed, got.Failed+got.Known, got.Skipped,
				float64(got.DurationMS)/1000), got.Failed+got.Known == 0 && got.Passed > 0)
	}
	return nil
}

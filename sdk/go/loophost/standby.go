package loophost

import (
	"context"
	"fmt"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// StandbyStatus is the state of a plugin's standby.
type StandbyStatus struct {
	// PID is its process id; 0 if there is no standby.
	PID int
	// Problem says why the last standby was ended or could not be started; empty while there is one.
	Problem string
}

// standby is a process that has shaken hands, and that serves nothing before the next generation takes it. Its plugin's
// lock guards it.
type standby struct {
	proc    *process.Process // nil: there is none
	problem string
	// restarts counts the calls of Restart: a process that was started before one may have read files that were replaced
	// since.
	restarts uint64
}

// firstStandbyPause is the pause after a standby that could not be started or did not stay; it doubles with each
// further one, up to supervise.QuarantinePause. The plugin serves meanwhile, and each attempt costs what a start costs.
const firstStandbyPause = time.Second

// keeper keeps a standby while its plugin serves.
type keeper struct {
	plugin  *Plugin
	made    time.Time // when the present process was started
	checked time.Time // when its health was checked last
	due     time.Time // before this time there is no attempt
	pause   time.Duration
}

// keepStandby keeps a standby until ctx ends. It looks at it as often as a generation measures its memory.
func (p *Plugin) keepStandby(ctx context.Context) {
	k := &keeper{plugin: p, pause: firstStandbyPause}
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if proc := p.takeStandby(); proc != nil {
				proc.Kill()
			}
			return
		case <-tick.C:
			k.look(ctx)
		}
	}
}

// look ends the standby if it is of no use any more, and starts one if there is none.
func (k *keeper) look(ctx context.Context) {
	p := k.plugin
	p.mu.Lock()
	proc, state := p.standby.proc, p.machine.State()
	// A generation that ends as soon as it is ready would start two processes each time; and objects that are made again
	// after a death get the processor first.
	wanted := state == supervise.Ready && !p.machine.Stopping() && time.Since(p.readyAt) >= supervise.ShortUptime
	p.mu.Unlock()
	switch {
	case proc == nil && wanted && !time.Now().Before(k.due):
		k.start(ctx)
	case proc == nil:
	case state == supervise.Quarantined:
		k.drop(proc, "the plugin is quarantined")
	case proc.Outdated():
		k.drop(proc, "it was started from files that are others by now")
		k.due = time.Time{}
	default:
		if why := k.problemOf(ctx, proc); why != "" {
			k.drop(proc, why)
		}
	}
}

// problemOf is why a standby is of no use; empty if it is of use. The bounds of a generation hold for it too.
func (k *keeper) problemOf(ctx context.Context, proc *process.Process) string {
	s := k.plugin.runtime.settings
	select {
	case <-proc.Exited():
		return proc.Exit().String()
	default:
	}
	if limit := k.plugin.settings.MemoryLimit; limit > 0 {
		if used := proc.Memory(); used > limit {
			return overLimit(used, limit)
		}
	}
	if time.Since(k.checked) < s.HealthInterval {
		return ""
	}
	k.checked = time.Now()
	return check(ctx, proc.Conn, s.HealthTimeout, proc.Delay).verdict
}

func (k *keeper) start(ctx context.Context) {
	p := k.plugin
	p.mu.Lock()
	restarts := p.standby.restarts
	p.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, p.runtime.settings.StartTimeout)
	defer cancel()
	proc, err := p.startProcess(bounded, nil)
	if err != nil {
		k.failed(err.Error())
		return
	}
	k.made, k.checked = time.Now(), time.Now()
	p.mu.Lock()
	kept := p.standby.restarts == restarts
	if kept {
		p.standby.proc, p.standby.problem = proc, ""
	}
	p.mu.Unlock()
	if !kept {
		proc.Kill()
		return
	}
	p.logger.Debug("the standby is ready", "pid", proc.PID())
}

// drop ends a process, unless a generation has taken it.
func (k *keeper) drop(proc *process.Process, why string) {
	p := k.plugin
	p.mu.Lock()
	mine := p.standby.proc == proc
	if mine {
		p.standby.proc = nil
	}
	p.mu.Unlock()
	if !mine {
		return
	}
	proc.Kill()
	if time.Since(k.made) >= supervise.LongUptime {
		k.pause = firstStandbyPause
	}
	k.failed(fmt.Sprintf("the process that stood by was ended: %s", why))
}

// failed notes that there is no process, and puts before this time there is no attempt off.
func (k *keeper) failed(why string) {
	p := k.plugin
	k.due = time.Now().Add(k.pause)
	k.pause = min(2*k.pause, supervise.QuarantinePause)
	p.mu.Lock()
	stopping := p.machine.Stopping()
	p.standby.problem = why
	p.mu.Unlock()
	if !stopping {
		p.logger.Warn("the plugin has no standby", "reason", why, "pause", time.Until(k.due))
	}
}

// takeStandby hands over the standby; nil if there is none that is of use.
func (p *Plugin) takeStandby() *process.Process {
	p.mu.Lock()
	proc := p.standby.proc
	p.standby.proc = nil
	p.mu.Unlock()
	if proc == nil {
		return nil
	}
	select {
	case <-proc.Exited():
	default:
		if !proc.Outdated() {
			return proc
		}
	}
	proc.Kill()
	return nil
}

// replaceStandby ends the standby, and sees to it that one that is being started is ended too.
func (p *Plugin) replaceStandby() {
	p.mu.Lock()
	p.standby.restarts++
	proc := p.standby.proc
	p.standby.proc = nil
	p.mu.Unlock()
	if proc != nil {
		proc.Kill()
	}
}

// standbyStatus is nil if the plugin is to have no standby.
func (p *Plugin) standbyStatus() *StandbyStatus {
	if !p.settings.Standby {
		return nil
	}
	p.mu.Lock()
	proc, s := p.standby.proc, &StandbyStatus{Problem: p.standby.problem}
	p.mu.Unlock()
	if proc != nil {
		s.PID = proc.PID()
	}
	return s
}

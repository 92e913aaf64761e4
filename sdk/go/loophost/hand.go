package loophost

import (
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
)

// tell takes an event into the journal.
func (p *Plugin) tell(e journal.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stepLocked(e)
}

// stepLocked takes an event into the journal and carries its effects out. It does not wait: what takes time is only
// begun, and tells the journal when it has ended.
func (p *Plugin) stepLocked(e journal.Event) []journal.Effect {
	if l := p.generation; l != nil && l.ready && l.dying() {
		// For the journal a generation ends when its end is noticed, not only when nothing of it is left.
		p.carry(p.journal.Step(journal.Event{What: journal.Ended, Generation: l.number}))
	}
	effects := p.journal.Step(e)
	p.carry(effects)
	return effects
}

func (p *Plugin) carry(effects []journal.Effect) {
	l := p.generation
	for _, e := range effects {
		o, g := p.objects[e.Object], p.gate
		if o != nil {
			g = o.gate
		}
		switch e.Do {
		case journal.Lend:
			for _, loan := range o.spec.Loans {
				p.lendLocked(loan)
			}
		case journal.AwaitLoans:
			go o.awaitLoans(l)
		case journal.Make:
			go o.make(l)
		case journal.Pause:
			p.logger.Warn("an object could not be made; it is tried again after a pause", "object", e.Object,
				"pause", e.For, "error", e.Reason)
			time.AfterFunc(e.For, func() { p.tell(journal.Event{What: journal.Due, Object: e.Object, Generation: l.number}) })
		case journal.OpenGate:
			g.set(l, nil, false)
		case journal.ShutGate:
			g.set(nil, nil, false)
		case journal.BlockGate:
			g.set(nil, e.Reason, e.Final)
		case journal.End:
			g.set(nil, e.Reason, e.Final)
			close(o.released)
			for _, loan := range o.spec.Loans {
				p.takeBackLocked(loan)
			}
			delete(p.objects, e.Object)
		}
	}
}

// suspect tells the journal of a call that was in flight at two deaths: that call, not chance, may be what kills.
func (p *Plugin) suspect(object, method string) {
	if object == "" {
		return // the plugin itself cannot rest
	}
	p.logger.Error("a call was in flight at two crashes of its plugin; its object pauses", "object", object, "method",
		method)
	p.tell(journal.Event{What: journal.Suspected, Object: object})
}

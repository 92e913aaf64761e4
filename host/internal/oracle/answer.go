package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Observations returns the results of the job's latest rounds, newest first, at most limit of them. It asks a median's
// relayer for answers that it has not read from reports yet, since there are many rounds and few are looked at. A
// bootstrap job has none, and only a product can read its own observations.
func (o *Oracle) Observations(ctx context.Context, limit int) []*nodev1.RoundObservation {
	reports := o.settings.History.Reports()
	if o.reader == nil {
		reports = nil
	}
	for round, report := range reports {
		answer, err := o.Answer(ctx, report)
		if err != nil {
			break // the relayer is away: the others would fail too
		}
		o.settings.History.Answered(round, answer)
	}
	return o.settings.History.Observations(limit)
}

// Observed returns what the job observed in its newest round, without asking its relayer; nil if there was none.
func (o *Oracle) Observed() *nodev1.RoundObservation {
	if newest := o.settings.History.Observations(1); len(newest) > 0 {
		return newest[0]
	}
	return nil
}

// Answer reads the answer in a report.
func (o *Oracle) Answer(ctx context.Context, report []byte) (*big.Int, error) {
	if o.reader == nil {
		return nil, errors.New("the job is not a median's, whose reports the node reads")
	}
	r, err := o.reader.MedianFromReport(ctx, &medianv1.MedianFromReportRequest{Report: report})
	if err != nil {
		return nil, fmt.Errorf("reading the answer of a report: %w", err)
	}
	return wire.Int(r.GetMedian()), nil
}

// ContractAnswer returns what the contract last accepted, as the relayer last saw it; nil if there is nothing.
func (o *Oracle) ContractAnswer(ctx context.Context) (*nodev1.ContractAnswer, error) {
	if o.reader == nil {
		return nil, nil
	}
	r, err := o.reader.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	if err != nil {
		return nil, fmt.Errorf("reading what the contract last accepted: %w", err)
	}
	if r.GetLatestTimestamp().AsTime().Unix() <= 0 {
		return nil, nil
	}
	return &nodev1.ContractAnswer{Timestamp: r.GetTimestamp(), Answer: r.GetLatestAnswer(),
		TransmittedAt: r.GetLatestTimestamp(), Transmitter: r.GetTransmitter()}, nil
}

// Land asks for the contract's latest transmission, if there may be a new one, and records it: for the round, if it is
// in the job's history, and for the feed, which lands nothing while the contract takes neither this node's reports nor
// newer ones.
func (o *Oracle) Land(ctx context.Context) error {
	if o.reader == nil || !o.feed.Awaits() {
		return nil
	}
	latest, err := o.ContractAnswer(ctx)
	if err != nil {
		return err
	}
	digest, runs := o.ConfigDigest()
	at := latest.GetTimestamp()
	if !runs || !bytes.Equal(at.GetConfigDigest(), digest[:]) { // it has taken none under the configuration that runs
		o.feed.Landed(0, 0)
		return nil
	}
	round := uint8(at.GetRound()) // of 8 bits by the contract
	o.feed.Landed(at.GetEpoch(), round)
	o.settings.History.Landed(hostservice.Round{ConfigDigest: digest, Epoch: at.GetEpoch(), Round: round},
		latest.GetTransmitter())
	if own := o.Observed().GetValue(); own != nil && latest.GetAnswer() != nil {
		o.feed.Compared(wire.Int(own), wire.Int(latest.GetAnswer()))
	}
	return nil
}

package looptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

// transmission is a request to transmit a report.
func (l *generation) transmission(report []byte, epoch uint32) *relayerv1.TransmitRequest {
	signature := l.bench.settings.Relayer.Signature
	return &relayerv1.TransmitRequest{
		ReportContext: &reportingv1.ReportContext{Timestamp: round(epoch), ExtraHash: make([]byte, 32)}, Report: report,
		Signatures: []*relayerv1.AttributedOnchainSignature{{Signature: signature}, {Signature: signature, Signer: 1}},
	}
}

func (l *generation) transmit(ctx context.Context, provider string, report []byte) error {
	return l.call(ctx, provider, relayerv1.ContractTransmitterService_Transmit_FullMethodName,
		l.transmission(report, 1), &relayerv1.TransmitResponse{})
}

func puts(writes []string) int {
	n := 0
	for _, w := range writes {
		if strings.HasPrefix(w, "Put ") {
			n++
		}
	}
	return n
}

// reported starts a plugin, and returns one of its providers and a report for that.
func (b *bench) reported(ctx context.Context) (l *generation, child string, report []byte, err error) {
	if l, err = b.fresh(ctx, b.newWorld()); err != nil {
		return nil, "", nil, err
	}
	if _, child, err = l.pair(ctx); err != nil {
		return nil, "", nil, err
	}
	report, err = l.report(ctx, child, 42)
	return l, child, report, err
}

func relayerTransmit(ctx context.Context, b *bench) error {
	if err := b.seesChain(); err != nil {
		return err
	}
	b.chain.Hang(true) // nothing is sent, nothing becomes stale: the Store holds what was accepted
	defer b.chain.Hang(false)
	l, child, report, err := b.reported(ctx)
	if err != nil {
		return err
	}
	if err := l.transmit(ctx, child, report); err != nil {
		return wrap("ContractTransmitterService.Transmit", err)
	}
	if puts(l.world.store.Writes()) == 0 {
		return errors.New("ContractTransmitterService.Transmit answered before the report was in the Store; want it " +
			"durable when the call returns")
	}
	stored := l.world.store.Keys()
	if err := l.transmit(ctx, child, report); err != nil {
		return wrap("ContractTransmitterService.Transmit of the same report again", err)
	}
	if again := l.world.store.Keys(); !slices.Equal(stored, again) {
		return fmt.Errorf("the Store held the keys %q after ContractTransmitterService.Transmit and %q after the same call "+
			"again; want no effect", stored, again)
	}
	return nil
}

func relayerTransmitRefused(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	if err := want("ContractTransmitterService.Transmit of bytes that are not a report",
		l.transmit(ctx, child, []byte{1, 2, 3}), codes.InvalidArgument); err != nil {
		return err
	}
	if w := l.world.store.Writes(); len(w) > 0 {
		return fmt.Errorf("ContractTransmitterService.Transmit of bytes that are not a report wrote to the Store: %s",
			strings.Join(w, ", "))
	}
	return nil
}

func relayerTransmitStore(ctx context.Context, b *bench) error {
	l, child, report, err := b.reported(ctx)
	if err != nil {
		return err
	}
	l.world.store.Script(func() (any, error) { return nil, status.Error(codes.Unavailable, "the database is away") })
	return want("ContractTransmitterService.Transmit while the Store is UNAVAILABLE", l.transmit(ctx, child, report),
		codes.Unavailable)
}

// signedWithin is how long a report may wait for its transaction. Relayers look at the chain before.
const signedWithin = 20 * time.Second

// relayerSignsWhatItShows has a report transmitted. A node that checks what it signs refuses a hash of something else.
func relayerSignsWhatItShows(ctx context.Context, b *bench) error {
	hash := b.settings.Relayer.SignedHash
	if hash == nil {
		return skip{"the suite is not told what the chain's accounts sign"}
	}
	if err := b.seesChain(); err != nil {
		return err
	}
	l, child, report, err := b.reported(ctx)
	if err != nil {
		return err
	}
	// A report of another configuration than the contract's is stale, and nothing is signed for it.
	held := &relayerv1.LatestConfigDigestAndEpochResponse{}
	if err := eventually(ctx, time.Now().Add(b.hang()), func() error {
		return l.call(ctx, child, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName,
			&relayerv1.LatestConfigDigestAndEpochRequest{}, held)
	}); err != nil {
		return wrap("ContractTransmitterService.LatestConfigDigestAndEpoch", err)
	}
	request := l.transmission(report, held.GetEpoch()+1)
	request.ReportContext.Timestamp.ConfigDigest = held.GetConfigDigest()
	if err := l.call(ctx, child, relayerv1.ContractTransmitterService_Transmit_FullMethodName, request,
		&relayerv1.TransmitResponse{}); err != nil {
		return wrap("ContractTransmitterService.Transmit", err)
	}
	select {
	case asked := <-l.world.keystore.Asked:
		if len(asked.GetTransaction()) == 0 {
			return errors.New("KeystoreService.Sign is asked for a signature without the transaction that is signed")
		}
		if want := hash(asked.GetTransaction()); !bytes.Equal(asked.GetData(), want) {
			return fmt.Errorf("KeystoreService.Sign is asked for a signature of %x and shown a transaction whose hash is %x",
				asked.GetData(), want)
		}
		return nil
	case <-time.After(b.within(signedWithin)):
		return fmt.Errorf("KeystoreService.Sign is not called within %s of ContractTransmitterService.Transmit",
			b.within(signedWithin))
	case <-ctx.Done():
		return ctx.Err()
	}
}

package feed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/ws"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

const (
	eventPrefix = "Program data: "
	eventSize   = 101
	// Where a transmission's round stands in its data: the bump, the digest, 27 bytes of nothing, the epoch, the round.
	transmitEpoch = 1 + 32 + 27
	transmitRound = transmitEpoch + 4
	transmitSize  = 1 + 96 + 61
)

// Transmission is a report that the feed took.
type Transmission struct {
	// RoundID counts the feed's answers from 1.
	RoundID uint32
	// ConfigDigest, Epoch and Round name the round of the protocol.
	ConfigDigest ocrtypes.ConfigDigest
	Epoch        uint32
	Round        uint8
	// Answer is the price times 10^Decimals, as in the feed's ring.
	Answer *big.Int
	// Observers are the oracles whose observations have the answer as their median, in the order of their observations.
	Observers []int
	// ObservationsTimestamp is when the oracles observed, in Unix seconds.
	ObservationsTimestamp uint32
	// Transmitter is the account that sent the report.
	Transmitter solana.PublicKey
	// Fee is the cost in lamports, and Units is how many compute units were used.
	Fee, Units uint64
}

// event is what the program logs of a transmission.
type event struct {
	roundID    uint32
	digest     ocrtypes.ConfigDigest
	answer     *big.Int
	timestamp  uint32
	observers  []int
	juels      uint64
	reimbursed uint64
}

// Watch calls take with every confirmed transmission of the feed, in the order of the chain, until ctx ends, take fails
// or the connection breaks; the error says which. It has its own connections, as any reader of the feed would.
func (f *Feed) Watch(ctx context.Context, take func(Transmission) error) error {
	node := f.chain.Nodes()[0]
	client := rpc.New(node.RPCURL)
	defer client.Close()
	socket, err := ws.Connect(ctx, node.WSURL)
	if err != nil {
		return fmt.Errorf("watch the feed: connect to %s: %w", node.WSURL, err)
	}
	defer socket.Close()
	subscription, err := socket.LogsSubscribeMentions(f.State, rpc.CommitmentConfirmed)
	if err != nil {
		return fmt.Errorf("watch the feed: subscribe to its logs: %w", err)
	}
	defer subscription.Unsubscribe()
	for {
		notice, err := subscription.Recv(ctx)
		if err != nil {
			return fmt.Errorf("watch the feed: %w", err)
		}
		if notice.Value.Err != nil {
			continue // transmissions that came second
		}
		for _, line := range notice.Value.Logs {
			logged, ok := decodeEvent(line)
			if !ok {
				continue
			}
			transmission, err := f.transmission(ctx, client, notice.Value.Signature, logged)
			if err != nil {
				return fmt.Errorf("watch the feed: round %d: %w", logged.roundID, err)
			}
			if err := take(transmission); err != nil {
				return err
			}
		}
	}
}

func decodeEvent(line string) (event, bool) {
	text, ok := strings.CutPrefix(line, eventPrefix)
	if !ok {
		return event{}, false
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) != eventSize || !bytes.HasPrefix(data, discriminator("event:NewTransmission")) {
		return event{}, false
	}
	le := binary.LittleEndian
	e := event{
		roundID: le.Uint32(data[8:]), digest: ocrtypes.ConfigDigest(data[12:44]), answer: signed(data[44:60]),
		timestamp: le.Uint32(data[61:]), juels: le.Uint64(data[85:]), reimbursed: le.Uint64(data[93:]),
	}
	for _, observer := range data[66 : 66+min(int(data[65]), MaxOracles)] {
		e.observers = append(e.observers, int(observer))
	}
	return e, true
}

// transmission puts together what the event, the transaction and the feed's ring say, and fails when they differ.
func (f *Feed) transmission(ctx context.Context, client *rpc.Client, signature solana.Signature,
	logged event) (Transmission, error) {
	found, err := client.GetTransaction(ctx, signature,
		&rpc.GetTransactionOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
	if err != nil {
		return Transmission{}, fmt.Errorf("read the transaction %s: %w", signature, err)
	}
	tx, err := found.Transaction.GetTransaction()
	if err != nil {
		return Transmission{}, fmt.Errorf("decode the transaction %s: %w", signature, err)
	}
	data, err := f.transmitData(tx)
	if err != nil {
		return Transmission{}, fmt.Errorf("decode the transaction %s: %w", signature, err)
	}
	t := Transmission{
		RoundID: logged.roundID, ConfigDigest: logged.digest, Epoch: binary.BigEndian.Uint32(data[transmitEpoch:]),
		Round: data[transmitRound], Observers: logged.observers, ObservationsTimestamp: logged.timestamp,
		Transmitter: tx.Message.AccountKeys[0], Fee: found.Meta.Fee,
	}
	if units := found.Meta.ComputeUnitsConsumed; units != nil {
		t.Units = *units
	}
	account, err := client.GetAccountInfoWithOpts(ctx, f.Transmissions, &rpc.GetAccountInfoOpts{
		Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed,
	})
	if err != nil {
		return Transmission{}, fmt.Errorf("read the feed %s: %w", f.Transmissions, err)
	}
	rounds, _, err := DecodeRounds(account.Value.Data.GetBinary())
	if err != nil {
		return Transmission{}, err
	}
	for _, round := range rounds {
		if round.ID != logged.roundID {
			continue
		}
		if round.Answer.Cmp(logged.answer) != 0 || round.Timestamp != logged.timestamp || round.Slot != found.Slot {
			return Transmission{}, fmt.Errorf("the feed has answer %s of second %d in slot %d, and the event in slot %d says "+
				"%s of %d",
				round.Answer, round.Timestamp, round.Slot, found.Slot, logged.answer, logged.timestamp)
		}
		t.Answer = round.Answer
		return t, nil
	}
	return Transmission{}, fmt.Errorf("it is not among the %d rounds in the feed's ring", len(rounds))
}

// transmitData is the data of the transmission in a transaction.
func (f *Feed) transmitData(tx *solana.Transaction) ([]byte, error) {
	for _, compiled := range tx.Message.Instructions {
		program, err := tx.Message.Program(compiled.ProgramIDIndex)
		if err != nil {
			return nil, err
		}
		if program.Equals(OCR2Program) && len(compiled.Data) >= transmitSize {
			return compiled.Data, nil
		}
	}
	return nil, errors.New("it has no transmission")
}

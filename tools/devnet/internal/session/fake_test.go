package session

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

// fakeNode stands in for the node in the tests of this package: it speaks the operator's API and has plugin processes,
// but there is no OCR2 in it. All fakes derive their keys from their names, so that node-0 can sign for the others and
// send the reports of all of them to the contract, which is a real one and checks every signature.
type fakeNode struct {
	nodev1connect.UnimplementedNodeServiceHandler
	name     string
	chainURL string
	mode     string

	mu      sync.Mutex
	plugins []*nodev1.PluginStatus
	jobs    chan string   // specs
	removed chan struct{} // closed when the job is
	ended   chan struct{} // closed when transmit has returned
}

// runFakeNode is the fake's main function.
func runFakeNode(configFile string) error {
	text, err := os.ReadFile(configFile)
	if err != nil {
		return err
	}
	value := func(key string) string {
		found := regexp.MustCompile(`(?m)^` + key + ` = "?([^"\n]*)"?$`).FindStringSubmatch(string(text))
		if found == nil {
			panic("the configuration has no " + key)
		}
		return found[1]
	}
	f := &fakeNode{
		name: filepath.Base(filepath.Dir(configFile)), chainURL: value("HTTPURL"), mode: os.Getenv("FAKE_MODE"),
		jobs: make(chan string, 1), removed: make(chan struct{}), ended: make(chan struct{}),
	}
	if _, err := os.Stat(value("PasswordFile")); err != nil {
		return err
	}
	fmt.Println(f.name, "is a fake")
	if f.mode == "never back" {
		if _, err := os.Stat("job"); err == nil {
			return errors.New("fake: the database is broken")
		}
	}
	// The job of an earlier generation.
	if spec, err := os.ReadFile("job"); err == nil {
		f.jobs <- string(spec)
		if outcome, err := os.ReadFile(filepath.Join("..", "outcome")); err == nil {
			if f.mode == "forgets outcomes" {
				outcome = []byte("0")
			}
			fmt.Printf("level=INFO msg=\"restoreFromDatabase: successfully restored cert\" job=7 certTimestamp=\"{SeqNr:%s "+
				"CommittedElsePrepared:true Epoch:1}\"\n", outcome)
		}
	}
	if err := f.fillStore(value("RootDir")); err != nil {
		return err
	}
	if f.mode == "die at start" && f.name == "node-2" {
		return errors.New("fake: the database is gone")
	}
	for i, name := range []string{"evm", "median", "twap"} {
		command := os.Getenv("CL_" + strings.ToUpper(name) + "_CMD")
		if name == "twap" && command == "" {
			continue // no node has it built in
		}
		f.plugins = append(f.plugins, &nodev1.PluginStatus{Name: name})
		if command != "" {
			begun := make(chan struct{})
			go f.supervise(f.plugins[i], command, sync.OnceFunc(func() { close(begun) }))
			<-begun // a node is ready with its plugins
		} else {
			f.plugins[i].InProcess = true
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go f.transmit(ctx)
	open := http.NewServeMux()
	open.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if f.mode == "never ready" {
			http.Error(w, "the chain is not reachable", http.StatusServiceUnavailable)
		}
	})
	open.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE loop_ocr3_outcomes_total counter\nloop_ocr3_outcomes_total{job_id=\"7\"} 20\n"+
			"# TYPE loop_ocr3_epochs_total counter\nloop_ocr3_epochs_total{job_id=\"7\"} 2\n"+
			"# TYPE loop_ocr3_reports_total counter\nloop_ocr3_reports_total{job_id=\"7\"} 19\n"+
			"# TYPE loop_ocr3_lost_total counter\nloop_ocr3_lost_total{job_id=\"7\",call=\"Observation\"} 1\n")
	})
	if f.mode == "slow" {
		time.Sleep(1500 * time.Millisecond) // longer than a session waits for the end of a node that does not answer
	}
	front, err := net.Listen("tcp", "127.0.0.1:"+value("HTTPPort"))
	if err != nil {
		return err
	}
	api := http.NewServeMux()
	api.Handle(nodev1connect.NewNodeServiceHandler(f))
	socket := filepath.Join(value("RootDir"), "loop.sock")
	_ = os.Remove(socket) // that of an earlier generation
	operators, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	served := &http.Server{Handler: api, ReadHeaderTimeout: time.Minute}
	server := &http.Server{Handler: open, ReadHeaderTimeout: time.Minute}
	go func() { _ = served.Serve(operators) }()
	go func() {
		<-ctx.Done()
		_ = server.Close()
		_ = served.Close()
	}()
	if err := server.Serve(front); ctx.Err() == nil {
		return err
	}
	return nil
}

// supervise keeps a plugin process alive, and calls begun for the first. Nothing ends it with the node: that is left to
// devnet, the harder case.
func (f *fakeNode) supervise(status *nodev1.PluginStatus, command string, begun func()) {
	for {
		plugin := exec.Command(command)
		plugin.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := plugin.Start(); err != nil {
			panic(err)
		}
		f.mu.Lock()
		status.Pid = int32(plugin.Process.Pid)
		status.Generation++
		status.Restarts = status.Generation - 1
		status.State = nodev1.PluginState_PLUGIN_STATE_READY
		f.mu.Unlock()
		begun()
		_ = plugin.Wait()
	}
}

func (f *fakeNode) ListPlugins(context.Context, *nodev1.ListPluginsRequest) (*nodev1.ListPluginsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	response := &nodev1.ListPluginsResponse{}
	for _, plugin := range f.plugins {
		response.Plugins = append(response.Plugins, &nodev1.PluginStatus{
			Name: plugin.GetName(), Pid: plugin.GetPid(), Generation: plugin.GetGeneration(), Restarts: plugin.GetRestarts(),
			State: plugin.GetState(), InProcess: plugin.GetInProcess(),
		})
	}
	return response, nil
}

func (f *fakeNode) ListKeys(context.Context, *nodev1.ListKeysRequest) (*nodev1.ListKeysResponse, error) {
	offchain := ed25519.NewKeyFromSeed(seed(f.name, "offchain"))
	encryption, err := ecdh.X25519().NewPrivateKey(seed(f.name, "encryption"))
	if err != nil {
		return nil, err
	}
	peerID, err := ragetypes.PeerIDFromPrivateKey(ed25519.NewKeyFromSeed(seed(f.name, "p2p")))
	if err != nil {
		return nil, err
	}
	return &nodev1.ListKeysResponse{Keys: []*nodev1.Key{
		{Kind: nodev1.KeyKind_KEY_KIND_P2P, Id: peerID.String()},
		{Kind: nodev1.KeyKind_KEY_KIND_OCR2, Relay: "evm", Id: "bundle", Ocr2: &nodev1.Ocr2PublicKeys{
			OffchainPublicKey: offchain.Public().(ed25519.PublicKey), ConfigEncryptionPublicKey: encryption.PublicKey().Bytes(),
			OnchainPublicKey: crypto.PubkeyToAddress(account(f.name, "signer").PublicKey).Bytes(),
		}},
		{Kind: nodev1.KeyKind_KEY_KIND_ACCOUNT, Relay: "evm",
			Id: crypto.PubkeyToAddress(account(f.name, "account").PublicKey).Hex()},
	}}, nil
}

func (f *fakeNode) AddBridge(context.Context, *nodev1.AddBridgeRequest) (*nodev1.AddBridgeResponse, error) {
	return &nodev1.AddBridgeResponse{}, nil
}

func (f *fakeNode) AddJob(ctx context.Context, request *nodev1.AddJobRequest) (*nodev1.AddJobResponse, error) {
	contract := regexp.MustCompile(`contractID = "(.*)"`).FindStringSubmatch(request.GetSpecToml())
	if contract == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("fake: contractID is missing"))
	}
	if f.name == "node-0" { // once all have their jobs, all know the configuration
		if err := f.keepDigest(ctx, contract[1]); err != nil {
			return nil, err
		}
	}
	if err := keep("job", []byte(request.GetSpecToml())); err != nil {
		return nil, err
	}
	f.jobs <- request.GetSpecToml()
	return &nodev1.AddJobResponse{
		Job: &nodev1.Job{Id: 7}, Warnings: []*nodev1.Problem{{Text: "a fake ignores most of it"}},
	}, nil
}

func (f *fakeNode) ListJobs(context.Context, *nodev1.ListJobsRequest) (*nodev1.ListJobsResponse, error) {
	return &nodev1.ListJobsResponse{Jobs: []*nodev1.Job{
		{Id: 6, Errors: []*nodev1.JobError{{Message: "fake: of another job", Count: 1}}},
		{Id: 7,
			Errors: []*nodev1.JobError{{Message: "fake: " + f.name, Count: 1},
				{Message: "fake: all, by Fake/" + strings.Repeat(string('A'+f.name[len("node-")]-'0'), 26), Count: 2}}},
	}}, nil
}

func (f *fakeNode) RemoveJob(_ context.Context, request *nodev1.RemoveJobRequest) (*nodev1.RemoveJobResponse, error) {
	if request.GetId() != 7 {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("fake: no such job"))
	}
	close(f.removed)
	<-f.ended
	return &nodev1.RemoveJobResponse{}, nil
}

// fillStore makes the database of a node, with what its mode wants in the Store.
func (f *fakeNode) fillStore(root string) error {
	db, err := sql.Open("sqlite", filepath.Join(root, "loop.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS store_entries (entry_key BYTEA, content BYTEA)"); err != nil {
		return err
	}
	var key string
	switch {
	case f.name != "node-0":
		return nil
	case f.mode == "forgets a report":
		key = "transmit/0xA/item/0xC/" + strings.Repeat("ab", 32) + "/00000009/09"
	case f.mode == "leaves a number":
		key = fmt.Sprintf("transmit/%s/flight/%016x", crypto.PubkeyToAddress(account(f.name, "account").PublicKey).Hex(),
			1000)
	default:
		return nil
	}
	_, err = db.Exec("INSERT INTO store_entries VALUES ($1, $2)", []byte(key), []byte("{}"))
	return err
}

// keep writes a file that is whole at any moment, for other nodes that read it and for generations that are killed.
func keep(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// accepted says of a report what a node does.
func (f *fakeNode) accepted(at ocrtypes.ReportTimestamp) {
	fmt.Printf("level=INFO msg=\"a report was handed to the relayer\" job=7 digest=%s epoch=%d round=%d\n",
		at.ConfigDigest.Hex(), at.Epoch, at.Round)
}

func (f *fakeNode) ListObservations(
	_ context.Context, request *nodev1.ListObservationsRequest,
) (*nodev1.ListObservationsResponse, error) {
	select {
	case <-f.removed:
		return nil, connect.NewError(connect.CodeNotFound, errors.New("fake: the job is gone"))
	default:
	}
	if request.GetJobId() != 7 {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("fake: no such job"))
	}
	digest, err := os.ReadFile(filepath.Join("..", "digest"))
	if err != nil {
		return nil, err
	}
	response := &nodev1.ListObservationsResponse{}
	for round := range uint8(100) {
		value := observation(f.name, round)
		if f.mode == "lie" && f.name == "node-1" && round == 3 {
			value.Add(value, big.NewInt(1))
		}
		response.Observations = append(response.Observations, &nodev1.RoundObservation{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest, Epoch: 1, Round: uint32(round)},
			Value:     wire.BigInt(value),
		})
	}
	return response, nil
}

// keepDigest asks the chain for the digest of the contract's configuration, for all fakes.
func (f *fakeNode) keepDigest(ctx context.Context, contract string) error {
	client, err := ethclient.DialContext(ctx, f.chainURL)
	if err != nil {
		return err
	}
	defer client.Close()
	aggregator, err := ocr2aggregator.NewOCR2Aggregator(common.HexToAddress(contract), client)
	if err != nil {
		return err
	}
	details, err := aggregator.LatestConfigDetails(&bind.CallOpts{Context: ctx})
	if err != nil {
		return err
	}
	return keep(filepath.Join("..", "digest"), details.ConfigDigest[:])
}

// handing is what libocr says before it hands a report to the relayer.
const handing = `level=INFO msg="eventTTransmitTimeout: Transmitting" job=7`

// transmit sends reports of node-0, node-1 and node-2 when this is node-0, signed by the first two.
func (f *fakeNode) transmit(ctx context.Context) {
	defer close(f.ended)
	spec := <-f.jobs
	contract := regexp.MustCompile(`contractID = "(.*)"`).FindStringSubmatch(spec)[1]
	prices := regexp.MustCompile(`url="(http://.*/price/)`).FindStringSubmatch(spec)[1]
	ofProduct := strings.Contains(spec, "pluginName")
	if f.mode == "mute" {
		return
	}
	if f.name != "node-0" { // the first sends for all, but each says when it would
		for ctx.Err() == nil {
			select {
			case <-f.removed:
				return
			case <-time.After(100 * time.Millisecond):
				fmt.Println(handing)
			}
		}
		return
	}
	client, err := ethclient.DialContext(ctx, f.chainURL)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	aggregator, err := ocr2aggregator.NewOCR2Aggregator(common.HexToAddress(contract), client)
	if err != nil {
		panic(err)
	}
	digest, err := os.ReadFile(filepath.Join("..", "digest"))
	if err != nil {
		panic(err)
	}
	auth, err := bind.NewKeyedTransactorWithChainID(account(f.name, "account"), big.NewInt(1337))
	if err != nil {
		panic(err)
	}
	auth.GasLimit = 500_000
	auth.Context = ctx
	for ctx.Err() == nil {
		// Its transactions number its rounds, in this generation as in those before.
		nonce, err := client.NonceAt(ctx, auth.From, nil)
		if err != nil { // it is to end, or asks again
			time.Sleep(10 * time.Millisecond)
			continue
		}
		round := uint8(nonce) + 1
		if f.mode == "die later" && round == 3 {
			fmt.Println("fake: out of memory")
			os.Exit(2)
		}
		reportContext := ocrtypes.ReportContext{ReportTimestamp: ocrtypes.ReportTimestamp{
			ConfigDigest: ocrtypes.ConfigDigest(digest), Epoch: 1, Round: round}}
		if ofProduct {
			reportContext.Epoch, reportContext.Round = uint32(round), 0
			if err := keep(filepath.Join("..", "outcome"), fmt.Append(nil, round)); err != nil {
				panic(err)
			}
		}
		var observations []median.ParsedAttributedObservation
		for i := range 3 {
			value := observation(fmt.Sprint("node-", i), round)
			if ofProduct {
				if value, err = told(ctx, prices+fmt.Sprint("node-", i)); err != nil {
					break
				}
				if f.mode == "lie" && i == 1 && round == 3 {
					value.Add(value, big.NewInt(1))
				}
			}
			observations = append(observations, median.ParsedAttributedObservation{
				Timestamp: uint32(time.Now().Unix()), Value: value,
				JuelsPerFeeCoin: big.NewInt(1), GasPriceSubunits: big.NewInt(0), Observer: commontypes.OracleID(i),
			})
		}
		if len(observations) < 3 {
			continue // it is to end
		}
		report, err := evmreportcodec.ReportCodec{}.BuildReport(ctx, observations)
		if err != nil {
			panic(err)
		}
		words := evmutil.RawReportContext(reportContext)
		hash := crypto.Keccak256(crypto.Keccak256(report), words[0][:], words[1][:], words[2][:])
		var rs, ss [][32]byte
		var vs [32]byte
		for i, signer := range []string{"node-0", "node-1"} {
			signature, err := crypto.Sign(hash, account(signer, "signer"))
			if err != nil {
				panic(err)
			}
			r, s, v, err := evmutil.SplitSignature(signature)
			if err != nil {
				panic(err)
			}
			rs, ss, vs[i] = append(rs, r), append(ss, s), v
		}
		auth.Nonce = big.NewInt(int64(round) - 1)
		fmt.Println(handing)
		if f.mode != "says nothing" {
			f.accepted(reportContext.ReportTimestamp)
		}
		if f.mode == "loses a report" && round == 3 {
			lost := reportContext.ReportTimestamp
			lost.Epoch = 2
			f.accepted(lost)
		}
		_, err = aggregator.Transmit(auth, words, report, rs, ss, vs)
		// Before the block is made, the chain still gives the number that was used; and it may be made just now.
		known := func(text string) bool { return strings.Contains(err.Error(), text) }
		if err != nil && ctx.Err() == nil &&
			!slices.ContainsFunc([]string{"already known", "underpriced", "nonce too low"}, known) {
			panic(err)
		}
		select { // not before the first round: what an earlier generation accepted may not be sent yet
		case <-f.removed:
			return
		case <-time.After(100 * time.Millisecond): // the fake's round
		}
	}
}

// told is the price that a node is told, in units of the contract.
func told(ctx context.Context, url string) (*big.Int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	number := regexp.MustCompile(`[0-9.]+`).FindString(string(body))
	return price.Units(number)
}

// observation is what a fake sees in a round: 2000 and some, more with every node.
func observation(name string, round uint8) *big.Int {
	return big.NewInt(2000_0000_0000 + int64(round)*1000 + int64(strings.Index("012", name[len("node-"):])))
}

func seed(name, kind string) []byte {
	sum := sha256.Sum256([]byte(name + " " + kind))
	return sum[:]
}

func account(name, kind string) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(seed(name, kind))
	if err != nil {
		panic(err)
	}
	return key
}

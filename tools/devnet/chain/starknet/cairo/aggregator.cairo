// The OCR2 aggregator in Cairo, as far as package aggregator models it in Go: the test beside this file gives both the same felts.
// It is compiled and run by wasm-cairo, and is not for use on a network: LINK, payees and access lists are left out.
use starknet::ContractAddress;

#[derive(Copy, Drop, Serde)]
struct OracleConfig {
    signer: felt252,
    transmitter: ContractAddress,
}

#[derive(Copy, Drop, Serde)]
struct ReportContext {
    config_digest: felt252,
    epoch_and_round: u64,
    extra_hash: felt252,
}

#[derive(Copy, Drop, Serde)]
struct Signature {
    r: felt252,
    s: felt252,
    public_key: felt252,
}

#[derive(Copy, Drop, Serde)]
struct Round {
    round_id: felt252,
    answer: u128,
    block_num: u64,
    started_at: u64,
    updated_at: u64,
}

#[derive(Copy, Drop, Serde)]
struct Billing {
    observation_payment_gjuels: u32,
    transmission_payment_gjuels: u32,
    gas_base: u32,
    gas_per_signature: u32,
}

#[starknet::interface]
trait IAggregator<T> {
    fn set_config(
        ref self: T,
        oracles: Array<OracleConfig>,
        f: u8,
        onchain_config: Array<felt252>,
        offchain_config_version: u64,
        offchain_config: Array<felt252>
    ) -> felt252;
    fn transmit(
        ref self: T,
        report_context: ReportContext,
        observation_timestamp: u64,
        observers: felt252,
        observations: Array<u128>,
        juels_per_fee_coin: u128,
        gas_price: u128,
        signatures: Array<Signature>
    );
    fn latest_config_details(self: @T) -> (u64, u64, felt252);
    fn latest_transmission_details(self: @T) -> (felt252, u64, u128, u64);
    fn latest_round_data(self: @T) -> Round;
    fn round_data(self: @T, round_id: u128) -> Round;
    fn billing(self: @T) -> Billing;
    fn transmitters(self: @T) -> Array<ContractAddress>;
    fn type_and_version(self: @T) -> felt252;
    fn description(self: @T) -> felt252;
    fn decimals(self: @T) -> u8;
    fn owner(self: @T) -> ContractAddress;
}

#[starknet::contract]
mod Aggregator {
    use core::pedersen::pedersen;
    use core::ecdsa::check_ecdsa_signature;
    use starknet::{ContractAddress, get_caller_address, get_contract_address, get_block_info, get_tx_info};
    use starknet::storage::{Map, StoragePointerReadAccess, StoragePointerWriteAccess, StorageMapReadAccess, StorageMapWriteAccess};
    use super::{OracleConfig, ReportContext, Signature, Round, Billing};

    const MAX_ORACLES: u32 = 31;
    const GIGA: u128 = 1000000000;

    #[storage]
    struct Storage {
        owner: ContractAddress,
        min: u128,
        max: u128,
        decimals: u8,
        description: felt252,
        f: u8,
        epoch_and_round: u64,
        config_count: u64,
        config_block: u64,
        digest: felt252,
        oracles: u32,
        signers: Map<felt252, u32>,
        transmitters: Map<ContractAddress, u32>,
        signer_list: Map<u32, felt252>,
        transmitter_list: Map<u32, ContractAddress>,
        payments: Map<u32, u128>,
        round: u128,
        answers: Map<u128, u128>,
        blocks: Map<u128, u64>,
        observed: Map<u128, u64>,
        sent: Map<u128, u64>,
        billing: Map<u32, u32>,
    }

    #[event]
    #[derive(Drop, starknet::Event)]
    enum Event {
        ConfigSet: ConfigSet,
        NewTransmission: NewTransmission,
    }

    #[derive(Drop, starknet::Event)]
    struct ConfigSet {
        #[key]
        previous_config_block_number: u64,
        #[key]
        latest_config_digest: felt252,
        config_count: u64,
        oracles: Array<OracleConfig>,
        f: u8,
        onchain_config: Array<felt252>,
        offchain_config_version: u64,
        offchain_config: Array<felt252>,
    }

    #[derive(Drop, starknet::Event)]
    struct NewTransmission {
        #[key]
        round_id: u128,
        answer: u128,
        #[key]
        transmitter: ContractAddress,
        observation_timestamp: u64,
        observers: felt252,
        observations: Array<u128>,
        juels_per_fee_coin: u128,
        gas_price: u128,
        config_digest: felt252,
        epoch_and_round: u64,
        reimbursement: u128,
    }

    #[constructor]
    fn constructor(
        ref self: ContractState,
        owner: ContractAddress,
        min: u128,
        max: u128,
        decimals: u8,
        description: felt252,
        observation_payment_gjuels: u32,
        transmission_payment_gjuels: u32,
        gas_base: u32,
        gas_per_signature: u32
    ) {
        assert(min < max, 'min >= max');
        self.owner.write(owner);
        self.min.write(min);
        self.max.write(max);
        self.decimals.write(decimals);
        self.description.write(description);
        self.billing.write(0, observation_payment_gjuels);
        self.billing.write(1, transmission_payment_gjuels);
        self.billing.write(2, gas_base);
        self.billing.write(3, gas_per_signature);
    }

    fn hash_all(items: @Array<felt252>) -> felt252 {
        let mut state = 0;
        let mut i = 0;
        while i < items.len() {
            state = pedersen(state, *items.at(i));
            i += 1;
        };
        pedersen(state, items.len().into())
    }

    fn power_of_two(n: u32) -> u128 {
        let mut power: u128 = 1;
        let mut i = 0;
        while i < n {
            power = power * 2;
            i += 1;
        };
        power
    }

    fn round_of(self: @ContractState, id: u128) -> Round {
        Round {
            round_id: id.into(),
            answer: self.answers.read(id),
            block_num: self.blocks.read(id),
            started_at: self.observed.read(id),
            updated_at: self.sent.read(id)
        }
    }

    #[abi(embed_v0)]
    impl AggregatorImpl of super::IAggregator<ContractState> {
        fn set_config(
            ref self: ContractState,
            oracles: Array<OracleConfig>,
            f: u8,
            onchain_config: Array<felt252>,
            offchain_config_version: u64,
            offchain_config: Array<felt252>
        ) -> felt252 {
            let caller: felt252 = get_caller_address().into();
            assert(caller != 0, 'Caller is the zero address');
            assert(get_caller_address() == self.owner.read(), 'Caller is not the owner');
            assert(oracles.len() <= MAX_ORACLES, 'too many oracles');
            assert((3_u8 * f).into() < oracles.len(), 'faulty-oracle f too high');
            assert(f > 0, 'f must be positive');
            assert(onchain_config.len() == 0, 'onchain_config must be empty');

            let mut old = self.oracles.read();
            while old > 0 {
                self.signers.write(self.signer_list.read(old), 0);
                self.transmitters.write(self.transmitter_list.read(old), 0);
                self.payments.write(old, 0);
                old -= 1;
            };
            let count = self.config_count.read() + 1;
            let mut content: Array<felt252> = array![
                get_tx_info().unbox().chain_id, get_contract_address().into(), count.into(), oracles.len().into()
            ];
            let mut i: u32 = 0;
            while i < oracles.len() {
                let oracle = *oracles.at(i);
                i += 1;
                assert(self.signers.read(oracle.signer) == 0, 'repeated signer');
                assert(self.transmitters.read(oracle.transmitter) == 0, 'repeated transmitter');
                self.signers.write(oracle.signer, i);
                self.signer_list.write(i, oracle.signer);
                self.transmitters.write(oracle.transmitter, i);
                self.transmitter_list.write(i, oracle.transmitter);
                content.append(oracle.signer);
                content.append(oracle.transmitter.into());
            };
            self.oracles.write(oracles.len());
            let own: Array<felt252> = array![1, self.min.read().into(), self.max.read().into()];
            content.append(f.into());
            content.append(3);
            content.append(1);
            content.append(self.min.read().into());
            content.append(self.max.read().into());
            content.append(offchain_config_version.into());
            content.append(offchain_config.len().into());
            let mut j: u32 = 0;
            while j < offchain_config.len() {
                content.append(*offchain_config.at(j));
                j += 1;
            };
            let hashed: u256 = hash_all(@content).into();
            let high: u128 = (hashed.high & 0xffffffffffffffffffffffffffff_u128) | 0x40000000000000000000000000000_u128;
            let digest: felt252 = high.into() * 0x100000000000000000000000000000000 + hashed.low.into();

            let previous = self.config_block.read();
            self.config_block.write(get_block_info().unbox().block_number);
            self.config_count.write(count);
            self.digest.write(digest);
            self.epoch_and_round.write(0);
            self.f.write(f);
            self
                .emit(
                    ConfigSet {
                        previous_config_block_number: previous,
                        latest_config_digest: digest,
                        config_count: count,
                        oracles,
                        f,
                        onchain_config: own,
                        offchain_config_version,
                        offchain_config
                    }
                );
            digest
        }

        fn transmit(
            ref self: ContractState,
            report_context: ReportContext,
            observation_timestamp: u64,
            observers: felt252,
            observations: Array<u128>,
            juels_per_fee_coin: u128,
            gas_price: u128,
            signatures: Array<Signature>
        ) {
            assert(self.epoch_and_round.read() < report_context.epoch_and_round, 'stale report');
            let oracle = self.transmitters.read(get_caller_address());
            assert(oracle != 0, 'unknown sender');
            assert(report_context.config_digest == self.digest.read(), 'config digest mismatch');
            let f = self.f.read();
            assert(signatures.len() == (f + 1).into(), 'wrong number of signatures');

            let mut content: Array<felt252> = array![
                report_context.config_digest,
                report_context.epoch_and_round.into(),
                report_context.extra_hash,
                observation_timestamp.into(),
                observers,
                observations.len().into()
            ];
            let mut i: u32 = 0;
            while i < observations.len() {
                content.append((*observations.at(i)).into());
                i += 1;
            };
            content.append(juels_per_fee_coin.into());
            content.append(gas_price.into());
            let message = hash_all(@content);
            let mut seen: u128 = 0;
            let mut k: u32 = 0;
            while k < signatures.len() {
                let signature = *signatures.at(k);
                k += 1;
                let index = self.signers.read(signature.public_key);
                assert(index != 0, 'invalid signer');
                let bit = power_of_two(index - 1);
                assert(seen & bit == 0, 'duplicate signer');
                seen = seen | bit;
                assert(check_ecdsa_signature(message, signature.public_key, signature.r, signature.s), '');
            };
            assert(observations.len() <= MAX_ORACLES, '');
            assert(f.into() < observations.len(), '');
            let median = *observations.at(observations.len() / 2);
            assert(self.min.read() <= median && median <= self.max.read(), 'median is out of min-max range');

            let gas: u128 = self.billing.read(2).into() + signatures.len().into() * self.billing.read(3).into();
            let reimbursement: u128 = gas * 115 / 100 * gas_price * juels_per_fee_coin;
            let payment: u128 = reimbursement + self.billing.read(1).into() * GIGA;
            let owed: u128 = self.payments.read(oracle) + payment;

            self.payments.write(oracle, owed);
            self.epoch_and_round.write(report_context.epoch_and_round);
            let round = self.round.read() + 1;
            let block = get_block_info().unbox();
            self.round.write(round);
            self.answers.write(round, median);
            self.blocks.write(round, block.block_number);
            self.observed.write(round, observation_timestamp);
            self.sent.write(round, block.block_timestamp);
            self
                .emit(
                    NewTransmission {
                        round_id: round,
                        answer: median,
                        transmitter: get_caller_address(),
                        observation_timestamp,
                        observers,
                        observations,
                        juels_per_fee_coin,
                        gas_price,
                        config_digest: report_context.config_digest,
                        epoch_and_round: report_context.epoch_and_round,
                        reimbursement
                    }
                );
        }

        fn latest_config_details(self: @ContractState) -> (u64, u64, felt252) {
            (self.config_count.read(), self.config_block.read(), self.digest.read())
        }

        fn latest_transmission_details(self: @ContractState) -> (felt252, u64, u128, u64) {
            let round = self.round.read();
            (self.digest.read(), self.epoch_and_round.read(), self.answers.read(round), self.sent.read(round))
        }

        fn latest_round_data(self: @ContractState) -> Round {
            round_of(self, self.round.read())
        }

        fn round_data(self: @ContractState, round_id: u128) -> Round {
            round_of(self, round_id)
        }

        fn billing(self: @ContractState) -> Billing {
            Billing {
                observation_payment_gjuels: self.billing.read(0),
                transmission_payment_gjuels: self.billing.read(1),
                gas_base: self.billing.read(2),
                gas_per_signature: self.billing.read(3)
            }
        }

        fn transmitters(self: @ContractState) -> Array<ContractAddress> {
            let mut all: Array<ContractAddress> = array![];
            let mut i: u32 = 1;
            while i <= self.oracles.read() {
                all.append(self.transmitter_list.read(i));
                i += 1;
            };
            all
        }

        fn type_and_version(self: @ContractState) -> felt252 {
            'ocr2/aggregator.cairo 1.0.0'
        }

        fn description(self: @ContractState) -> felt252 {
            self.description.read()
        }

        fn decimals(self: @ContractState) -> u8 {
            self.decimals.read()
        }

        fn owner(self: @ContractState) -> ContractAddress {
            self.owner.read()
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

// Compiled by solc 0.8.30 (npm: solc@0.8.30) into coin.hex: solcjs --optimize --bin Coin.sol
//
// The least of a token that the rail touches: 6 decimals, a balance, a transfer that a blocked address
// does not get, as with USDC.
contract Coin {
    uint8 public constant decimals = 6;
    mapping(address => uint256) public balanceOf;
    // The tests write it into the contract's storage.
    mapping(address => bool) private blocked;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor() {
        balanceOf[msg.sender] = 1_000_000e6;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        require(!blocked[to], "blocked");
        require(balanceOf[msg.sender] >= value, "too little");
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
